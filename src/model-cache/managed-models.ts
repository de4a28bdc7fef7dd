import { realpath } from 'node:fs/promises';
import { isAbsolute, sep } from 'node:path';
import { checkTargetModel, modelNameOfTarget } from '../api/target-model.ts';
import { EndpointError } from '../errors.ts';
import type { ModelLease } from './model.ts';
import { pageTokenAfter, parsePageLimit, parsePageToken } from './page-token.ts';
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

interface Registered {
  readonly name: string;
  readonly url: string;
  /** The name that people know it by. */
  readonly shownName: string;
  readonly loading: AbortController;
  /** Resolves to the key when the load is over, to undefined when it failed. */
  readonly loaded: Promise<string | undefined>;
  key: string | undefined;
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
   * Loads a model from its unpacked folder. On failure nothing stays registered.
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
      url,
      shownName,
      loading,
      loaded: settled(work),
      key: undefined,
      unloading: undefined,
    };
    this.#models.set(name, registered);
    try {
      registered.key = await work;
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
      .filter(({ key, name, unloading }) => key !== undefined && !unloading && (after === undefined || name > after))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    const models = rest.slice(0, pageSize).map((registered) => this.#describe(registered));
    const last = models.at(-1);
    return rest.length > pageSize && last ? { models, nextPageToken: pageTokenAfter(last.modelName) } : { models };
  }

  /** Pins a model. Throws EndpointError `model_not_found`. */
  acquire(name: string): ModelLease {
    return this.#options.residency.lease(this.#ready(name).key);
  }

  /**
   * The name under which a model was loaded, by that name itself or by the one that people know it by (of several the
   * one that was loaded last); undefined when none of them is ready.
   */
  nameOf(anyName: string): string | undefined {
    const known = [...this.#models.values()].filter(({ key, unloading }) => key !== undefined && !unloading);
    return (known.find(({ name }) => name === anyName) ?? known.findLast(({ shownName }) => shownName === anyName))
      ?.name;
  }

  #ready(name: string): Registered & { key: string } {
    const registered = this.#models.get(name);
    if (registered?.key === undefined || registered.unloading) throw notLoaded();
    return registered as Registered & { key: string };
  }

  #describe({ name, url }: Registered): ManagedDescription {
    const modelUrl = this.#options.urlForm === 'parent' ? url.replace(/\/model\/?$/, '') : url;
    return { modelName: name, modelUrl };
  }

  async #load(url: string, shownName: string, signal: AbortSignal): Promise<string> {
    const { residency, rules, roots } = this.#options;
    const dir = await modelFolder(url, roots);
    const bundle = await prepareTree(dir, rules, signal);
    const { model, release } = await residency.load(shownName, bundle, signal, { evictable: false });
    release();
    return model.key;
  }

  async #unload(registered: Registered): Promise<void> {
    registered.loading.abort(new EndpointError('model_not_found', 'The model was unloaded while it was being loaded.'));
    const key = await registered.loaded;
    if (key !== undefined) await this.#options.residency.unload(key, this.#options.unloadWaitMs ?? 350_000);
    if (this.#models.get(registered.name) === registered) this.#models.delete(registered.name);
  }
}

const settled = (work: Promise<string>): Promise<string | undefined> => work.catch(() => undefined);

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
