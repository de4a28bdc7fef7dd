import type { NetworkSignature, Tensor } from './tensor.ts';

/**
 * A loaded network as inferers see it. The real one runs windows in session children; tests may give a function.
 */
export interface Network extends NetworkSignature {
  /** How many windows may usefully be in flight at once (≥ 1). Answers may come back in any order. */
  readonly concurrency: number;
  /**
   * Whether one run of several windows is faster than as many runs: on a GPU, not on a CPU. Only where the file leaves
   * the batch axis open.
   */
  readonly gainsFromBatches?: boolean | undefined;
  /**
   * Runs one window (or whole image). Tensors by the ONNX file's names.
   *
   * @param room - where a big answer goes, and when
   * @throws EndpointError `model_failed` (the network refused the input), `worker_crashed`, `deadline_exceeded`
   */
  run(
    inputs: Readonly<Record<string, Tensor>>,
    signal?: AbortSignal,
    room?: AnswerRoom,
  ): Promise<Record<string, Tensor>>;
}

/** Bounds the memory of answers that are big. */
export interface AnswerRoom {
  /** Resolves when the answer may be received; until then it stays where the network runs. */
  admit(): Promise<void>;
  /** Memory for a tensor of so many bytes; undefined: any. */
  memory(bytes: number): Uint8Array<ArrayBufferLike> | undefined;
}
