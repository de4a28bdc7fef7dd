import type { NetworkSignature } from '../imaging/tensor.ts';

/** A model that is in memory and ready to be called. */
export interface LoadedModel {
  /** Unique to this load; names the model to the session pool (a reload of the same bytes has another key). */
  readonly key: string;
  /** TargetModel without suffix (self-managed), SageMaker's opaque name (managed). */
  readonly name: string;
  /** Folder of the unpacked bundle (its root: `configs/`, `models/` lie in it). */
  readonly dir: string;
  /** SHA-256 over its sorted (path, size, SHA-256 of the file), hex (design §2). */
  readonly digest: string;
  readonly signature: NetworkSignature;
}

/** A use of a loaded model: it stays loaded until `release`. */
export interface ModelLease {
  readonly model: LoadedModel;
  release(): void;
}

/** What loading adds to a bundle's folder; wired in `main.ts`: handler check in a pipeline process, session child. */
export interface ModelLoader {
  /**
   * Checks the bundle (its handler's `initialize`) and loads its network.
   *
   * @throws EndpointError `unsupported_bundle`, `invalid_archive`, `model_failed`, `insufficient_memory`, `deadline_exceeded`
   */
  load(model: Omit<LoadedModel, 'signature'>, signal: AbortSignal): Promise<{ signature: NetworkSignature }>;
  /** Waits for running windows, ends the processes; resolves when the memory is back. Never throws. */
  unload(key: string): Promise<void>;
  /** Bytes that the model's processes hold now (its measured peak afterwards stays the estimate). */
  usedBytes(key: string): number;
}
