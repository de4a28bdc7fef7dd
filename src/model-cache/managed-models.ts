import { realpath } from 'node:fs/promises';
import { isAbsolute, sep } from 'node:path';
import { checkTargetModel, modelNameOfTarget } from '../api/target-model.ts';
import { EndpointError } from '../errors.ts';
import type { ModelLease } from './model.ts';
import { pageTokenAfter, parsePageLimit, parsePageToken } from './page-token.ts';
import { nameOfBundle, pickBundle } from './pick-bundle.ts';
import { type BundleRules, prepareTree } from './prepare-bundle.ts';
import type { Residency } from './residency.ts';

export interface ManagedOptions {
  readonly residency: Residency;
  readonly rules: BundleRules;
  /** Folders under which a `url` may lie: `/opt/ml/models`, or the models folder in the self-managed regime. */
  readonly roots: readonly string[];
  /** Time that running requests of a model have to end when it is unloaded. Default 350 s: SageMaker waits 360 s. */
  readonly unloadWaitMs?: number;
  /** `parent`: descriptions give the url without its last `/model`, as Triton does. Default: as it was given. */
  readonly urlForm?: 'given' | 'parent';
}

/** A bundle of a loaded archive. */
interface LoadedBundle {
  readonly name: string | undefined;
  readonly key: string;
}

interface Registered {
  readonly name: string;
  /** What people call the archive. */
  readonly shownName: string;
  readonly url: string;
  readonly loading: AbortController;
  /** Resolves when the load is over: to what was loaded, to nothing when it failed. */
  readonly loaded: Promise<readonly LoadedBundle[]>;
  bundles: readonly LoadedBundle[] | undefined;
  unloading: Promise<void> | undefined;
}

/** A model as SageMaker's listing shows it. */
export interface ManagedDescription {
  readonly modelName: string;
  readonly modelUrl: string;
}

/** The managed regime (design §2): SageMaker downloads, unpacks and decides what is loaded; nothing is evicted. */
export class ManagedModels {
  readonly #options: ManagedOptions;
  readonly #models = new Map<string, Registered>();

  constructor(options: ManagedOptions) {
    this.#options = options;
  }

  /**
   * Loads a model from its unpacked folder: all its bundles, where it holds several (ADR 9), so that its memory is known
   * to who loaded it. On failure nothing stays registered or in memory.
   *
   * @param name - opaque to us
   * @param url - absolute path of the folder
   * @param targetModel - the name that people know it by, where SageMaker tells it; with or without its suffix
   * @throws EndpointError `model_already_loaded` (also while it loads or unloads), `forbidden`, `invalid_archive`,
   *   `unsupported_bundle`, `insufficient_memory`, what a load may fail with; the signal's reason
   */
  async load(name: string, url: string, targetModel: string | undefined, signal: AbortSignal): Promise<void> {
    if (this.#models.has(name)) {
      throw new EndpointError('model_already_loaded', 'A model of this name is loaded, or being loaded or unloaded.');
    }
    const shownName = targetModel === undefined ? name : shownNameOf(targetModel);
    const loading = new AbortController();
    const work = this.#load(url, shownName, AbortSignal.any([signal, loading.signal]));
    const registered: Registered = {
      name,
      shownName,
      url,
      loading,
      loaded: work.catch(() => []),
      bundles: undefined,
      unloading: undefined,
    };
    this.#models.set(name, registered);
    try {
      registered.bundles = await work;
    } catch (thrown) {
      this.#models.delete(name);
      this.#options.residency.noteFailure(shownName, thrown);
      throw thrown;
    }
  }

  /**
   * Unloads a model: waits for its running requests, resolves when its memory is back. A model that still loads is
   * stopped.
   *
   * @throws EndpointError `model_not_found`
   */
  async unload(name: string): Promise<void> {
    const registered = this.#models.get(name);
    if (!registered) throw notLoaded();
    registered.unloading ??= this.#unload(registered);
    await registered.unloading;
  }

  /** @throws EndpointError `model_not_found` */
  describe(name: string): ManagedDescription {
    return this.#describe(this.#ready(name));
  }

  /**
   * One page of the models that are ready, by name.
   *
   * @throws EndpointError `invalid_request` for a token or a limit that is not ours
   */
  list(
    pageToken: string | undefined,
    limit: string | undefined,
  ): { models: ManagedDescription[]; nextPageToken?: string } {
    const after = parsePageToken(pageToken);
    const pageSize = parsePageLimit(limit);
    const rest = [...this.#models.values()]
      .filter(
        ({ bundles, name, unloading }) => bundles !== undefined && !unloading && (after === undefined || name > after),
      )
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const models = rest.slice(0, pageSize).map((registered) => this.#describe(registered));
    const last = models.at(-1);
    return rest.length > pageSize && last ? { models, nextPageToken: pageTokenAfter(last.modelName) } : { models };
  }

  /**
   * Pins a model.
   *
   * @param wanted - the bundle, where the archive holds several
   * @throws EndpointError `model_not_found` when the archive isn't loaded (SageMaker then loads it), `invalid_request`
   *   when it holds no such bundle, or several and none is named
   */
  acquire(name: string, wanted?: string): ModelLease {
    const { bundles, shownName } = this.#ready(name);
    const words = { archive: shownName, unknown: 'invalid_request' } as const;
    return this.#options.residency.lease(pickBundle(bundles, wanted, words).key);
  }

  /**
   * The name under which a model was loaded, by that name itself or by the one that people know it by (of several the
   * one that was loaded last); undefined when none of them is ready.
   */
  nameOf(anyName: string): string | undefined {
    const known = [...this.#models.values()].filter(({ bundles, unloading }) => bundles !== undefined && !unloading);
    return (known.find(({ name }) => name === anyName) ?? known.findLast(({ shownName }) => shownName === anyName))
      ?.name;
  }

  #ready(name: string): Registered & { bundles: readonly LoadedBundle[] } {
    const registered = this.#models.get(name);
    if (!registered?.bundles || registered.unloading) throw notLoaded();
    return registered as Registered & { bundles: readonly LoadedBundle[] };
  }

  #describe({ name, url }: Registered): ManagedDescription {
    const modelUrl = this.#options.urlForm === 'parent' ? url.replace(/\/model\/?$/, '') : url;
    return { modelName: name, modelUrl };
  }

  async #load(url: string, shownName: string, signal: AbortSignal): Promise<LoadedBundle[]> {
    const { residency, rules, roots } = this.#options;
    const dir = await modelFolder(url, roots);
    const loaded: LoadedBundle[] = [];
    try {
      for (const bundle of await prepareTree(dir, rules, signal)) {
        const name = nameOfBundle(shownName, bundle);
        const { model, release } = await residency.load(name, bundle, signal, { evictable: false });
        release();
        loaded.push({ name: bundle.name, key: model.key });
      }
      return loaded;
    } catch (thrown) {
      await Promise.all(loaded.map(({ key }) => residency.unload(key, 0)));
      throw thrown;
    }
  }

  async #unload(registered: Registered): Promise<void> {
    registered.loading.abort(new EndpointError('model_not_found', 'The model was unloaded while it was being loaded.'));
    const bundles = await registered.loaded;
    const waitMs = this.#options.unloadWaitMs ?? 350_000;
    await Promise.all(bundles.map(({ key }) => this.#options.residency.unload(key, waitMs)));
    if (this.#models.get(registered.name) === registered) this.#models.delete(registered.name);
  }
}

const shownNameOf = (targetModel: string): string =>
  modelNameOfTarget(checkTargetModel(`${modelNameOfTarget(targetModel)}.tar.gz`));

const notLoaded = (): EndpointError => new EndpointError('model_not_found', 'No model of this name is loaded.');

/** The real path of a model's folder, which must lie under one of the roots: a link leads nowhere else. */
async function modelFolder(url: string, roots: readonly string[]): Promise<string> {
  const outside = (): EndpointError =>
    new EndpointError('forbidden', 'url must be the absolute path of a folder under the models folder of this server.');
  if (!isAbsolute(url) || url.includes('\0')) throw outside();
  // What is not written as a path under a root is refused before anything is looked up: no oracle for other files.
  if (!roots.some((root) => isUnder(url, root) && !url.split('/').includes('..'))) throw outside();
  const found = await realpath(url).catch(() => undefined);
  if (found === undefined) throw new EndpointError('invalid_archive', 'There is no folder at url.');
  const realRoots = await Promise.all(roots.map((root) => realpath(root).catch(() => root)));
  if (!realRoots.some((root) => isUnder(found, root))) throw outside();
  return found;
}

const isUnder = (path: string, root: string): boolean => path.startsWith(root.endsWith(sep) ? root : root + sep);
