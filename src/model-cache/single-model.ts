import { stat } from 'node:fs/promises';
import { EndpointError } from '../errors.ts';
import type { ModelLease, PreparedBundle } from './model.ts';
import { pickBundle } from './pick-bundle.ts';
import { type BundleRules, prepareTree } from './prepare-bundle.ts';
import type { Residency } from './residency.ts';
import { SharedWork } from './shared-work.ts';

export interface SingleModelOptions {
  /** Where SageMaker unpacks the model of a single-model container: `/opt/ml/model`. */
  readonly dir: string;
  readonly residency: Residency;
  readonly rules: BundleRules;
}

/**
 * The model that a container was given, unpacked: one bundle, or several under `bundles/`. Each is loaded at its first
 * use. A single one is kept; of several, idle ones make room for others and come back at their next use.
 */
export class SingleModel {
  readonly #options: SingleModelOptions;
  readonly #reading = new SharedWork<readonly PreparedBundle[]>();
  readonly #loading = new SharedWork<void>();
  readonly #keys = new Map<string | undefined, string>();
  #bundles: readonly PreparedBundle[] | undefined;

  constructor(options: SingleModelOptions) {
    this.#options = options;
  }

  /**
   * Pins the model, which is loaded when it isn't yet.
   *
   * @param wanted - the bundle, where there are several
   * @throws EndpointError `model_not_found` when there is none, or none of this name; `invalid_request` when there are
   *   several and none is named; what a load may fail with; the signal's reason
   */
  async acquire(signal: AbortSignal, wanted?: string): Promise<ModelLease> {
    if (!this.#bundles && !(await this.#isThere())) {
      const message =
        wanted === undefined
          ? 'The request names no model, and this server was given none of its own.'
          : 'There is no such model: this server was given none of its own and no MODEL_DATA_URL.';
      throw new EndpointError('model_not_found', message);
    }
    this.#bundles ??= await this.#reading.join('', signal, (workSignal) =>
      prepareTree(this.#options.dir, this.#options.rules, workSignal),
    );
    const bundle = pickBundle(this.#bundles, wanted);
    for (;;) {
      const key = this.#keys.get(bundle.name);
      if (key !== undefined && this.#options.residency.isReady(key)) return this.#options.residency.lease(key);
      await this.#loading.join(bundle.name ?? '', signal, (workSignal) => this.#load(bundle, workSignal));
    }
  }

  /** True while one of its bundles is loaded. */
  get isLoaded(): boolean {
    return [...this.#keys.values()].some((key) => this.#options.residency.isReady(key));
  }

  async #isThere(): Promise<boolean> {
    const found = await stat(this.#options.dir).catch(() => undefined);
    return found?.isDirectory() ?? false;
  }

  async #load(bundle: PreparedBundle, signal: AbortSignal): Promise<void> {
    const evictable = (this.#bundles ?? []).length > 1;
    const loaded = await this.#options.residency.load(bundle.name ?? 'model', bundle, signal, { evictable });
    this.#keys.set(bundle.name, loaded.model.key);
    setImmediate(() => loaded.release()); // those who waited have taken their own by then
  }
}
