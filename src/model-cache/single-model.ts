import { stat } from 'node:fs/promises';
import { EndpointError } from '../errors.ts';
import type { ModelLease } from './model.ts';
import { type BundleRules, prepareTree } from './prepare-bundle.ts';
import type { Residency } from './residency.ts';
import { SharedWork } from './shared-work.ts';

export interface SingleModelOptions {
  /** Where SageMaker unpacks the model of a single-model container: `/opt/ml/model`. */
  readonly dir: string;
  readonly residency: Residency;
  readonly rules: BundleRules;
}

/** The one model that a container was given, unpacked; loaded at its first use and kept. */
export class SingleModel {
  readonly #options: SingleModelOptions;
  readonly #work = new SharedWork<string>();
  #key: string | undefined;

  constructor(options: SingleModelOptions) {
    this.#options = options;
  }

  /**
   * Pins the model, which is loaded when it isn't yet.
   *
   * @throws EndpointError `model_not_found` when there is none; what a load may fail with; the signal's reason
   */
  async acquire(signal: AbortSignal): Promise<ModelLease> {
    this.#key ??= await this.#work.join('model', signal, (workSignal) => this.#load(workSignal));
    return this.#options.residency.lease(this.#key);
  }

  /** True once it was loaded. */
  get isLoaded(): boolean {
    return this.#key !== undefined;
  }

  async #load(signal: AbortSignal): Promise<string> {
    const { dir, residency, rules } = this.#options;
    const found = await stat(dir).catch(() => undefined);
    if (!found?.isDirectory()) {
      const message = 'The request names no model, and this server was given none of its own.';
      throw new EndpointError('model_not_found', message);
    }
    const bundle = await prepareTree(dir, rules, signal);
    const { model, release } = await residency.load('model', bundle, signal, { evictable: false });
    release();
    return model.key;
  }
}
