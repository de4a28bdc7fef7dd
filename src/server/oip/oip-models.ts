import type { ModelLease, ModelStatus } from '../../model-cache/model.ts';

/** The models of a server by the names of the Open Inference Protocol; wired in the composition root. */
export interface OipModels {
  /**
   * Pins a model, loading it where this regime loads on demand.
   *
   * @param name - TargetModel without its suffix; of a model that SageMaker loaded also its opaque name
   * @throws EndpointError `model_not_found`, `invalid_request`, and what a load may fail with
   */
  acquire(name: string, signal: AbortSignal): Promise<ModelLease>;
  /** True while the model is loaded; never loads it. */
  isReady(name: string): boolean;
  /** Loads a model; nothing to do where it is loaded. Throws `forbidden` where SageMaker decides, else as `acquire`. */
  load(name: string, signal: AbortSignal): Promise<void>;
  /** Unloads a model and touches none of its files; nothing to do where it isn't loaded. Throws `forbidden` likewise. */
  unload(name: string, signal: AbortSignal): Promise<void>;
  /** The version of a loaded model by its key. */
  version(key: string): string | undefined;
  /** All models that are loaded, on their way, or failed. */
  status(): readonly ModelStatus[];
}
