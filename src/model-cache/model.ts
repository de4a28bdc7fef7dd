import type { ErrorCode } from '../errors.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';

/** A model that is in memory and ready to be called. */
export interface LoadedModel {
  /** Unique to this load; names the model to the session pool (a reload of the same bytes has another key). */
  readonly key: string;
  /** TargetModel without its suffix where it is known, else SageMaker's opaque name. */
  readonly name: string;
  /** Folder of the unpacked bundle (its root: `configs/`, `models/` lie in it). */
  readonly dir: string;
  /** SHA-256 over its sorted (path, size, SHA-256 of the file), hex (design §2). */
  readonly digest: string;
  /** Of its network; without inputs and outputs for a model that is code alone. */
  readonly signature: NetworkSignature;
}

/** A use of a loaded model: it stays loaded until `release`. */
export interface ModelLease {
  readonly model: LoadedModel;
  /** Ends the use; a second call does nothing. */
  release(): void;
}

/** What loading adds to a bundle's folder; wired in the composition root: handler check in a pipeline process, session child. */
export interface ModelLoader {
  /**
   * Checks the bundle (its handler's `initialize`) and loads its network.
   *
   * @throws EndpointError `unsupported_bundle`, `invalid_archive`, `model_failed`, `insufficient_memory`, `deadline_exceeded`
   */
  load(model: Omit<LoadedModel, 'signature'>, signal: AbortSignal): Promise<{ signature: NetworkSignature }>;
  /**
   * Waits for running windows, ends the processes; resolves when the memory is back. Never throws. Also called after a
   * failed load, and for a key that holds nothing.
   */
  unload(key: string): Promise<void>;
  /** Measured bytes of all processes that hold the model, each at its peak; 0 when unknown. */
  usedBytes(key: string): number;
  /** The most that one process of the model has held, in bytes; 0 when unknown. */
  peakBytes(key: string): number;
}

/** A checked bundle on disk, ready to be loaded. */
export interface PreparedBundle {
  /** Name under `bundles/` of its archive; undefined for the one bundle of an archive. */
  readonly name: string | undefined;
  /** Root of the bundle. */
  readonly dir: string;
  readonly digest: string;
  /** Bytes of `models/model.onnx` and its external data; 0 for a model that is code alone. */
  readonly onnxBytes: number;
}

export type ModelState = 'LOADING' | 'READY' | 'UNLOADING' | 'FAILED';

/** A model as metrics and repository listings show it. */
export interface ModelStatus {
  readonly name: string;
  readonly state: ModelState;
  /** Code of what it failed with. */
  readonly reason?: ErrorCode;
  /** Memory that is set aside for it or that it holds. */
  readonly sizeBytes: number;
}
