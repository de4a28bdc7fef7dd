import type { ModelLease } from '../model-cache/model.ts';

/** How SageMaker sees a loaded model. */
export interface ModelDescription {
  readonly modelName: string;
  readonly modelUrl: string;
}

/** The managed regime (design §2): only these calls change what is loaded. Implemented by the model cache. */
export interface ManagedRegistry {
  /**
   * @throws EndpointError `model_already_loaded`, `insufficient_memory`, `forbidden`, `invalid_archive`, `unsupported_bundle`
   */
  load(name: string, url: string, targetModel: string | undefined, signal: AbortSignal): Promise<void>;
  /** Waits for running requests; resolves when the memory is back. Throws `model_not_found`. */
  unload(name: string): Promise<void>;
  /** Throws `model_not_found`. */
  describe(name: string): ModelDescription;
  /** One page in a stable order. A token or limit that we did not make is `invalid_request`. */
  list(
    pageToken: string | undefined,
    limit: string | undefined,
  ): { models: ModelDescription[]; nextPageToken?: string };
  /**
   * @param wanted - the bundle, where the model archive holds several
   * @throws EndpointError `model_not_found`, `invalid_request`
   */
  acquire(name: string, wanted?: string): ModelLease;
}
