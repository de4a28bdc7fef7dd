/**
 * The types that a handler in `code/handler.mjs` is written against, published as `map-endpoint/handler`
 * (docs/handlers.md). The words are TorchServe's.
 */
import type { Network } from '../../imaging/network.ts';

export type { Network } from '../../imaging/network.ts';
export type { NetworkSignature, Tensor, TensorData, TensorInfo, TensorType } from '../../imaging/tensor.ts';

type MaybePromise<T> = T | Promise<T>;

/** One request. */
export interface HandlerRequest {
  /** The body; one over 1 MiB is read from its file when this is first looked at. */
  readonly body: Uint8Array;
  /** File of a body over 1 MiB, for handlers that read it as a stream. */
  readonly bodyPath?: string;
  /** Lower-case names: `content-type`, `accept`, SageMaker's own, `traceparent`. */
  readonly headers: Readonly<Record<string, string>>;
  readonly requestId: string;
}

/** An answer with a type of its own; a file must lie in `context.scratchDir`. */
export interface HandlerReply {
  readonly body?: Uint8Array | string;
  readonly bodyPath?: string;
  readonly contentType: string;
  /** 200 to 299; a failure is an `Error`. */
  readonly status?: number;
}

/**
 * One answer: text, bytes, a {@link HandlerReply}, or any other object, list, number, boolean or null, which is sent as
 * JSON. An `Error` fails this item alone; its `code` may be one of docs/errors.md that speak of the request.
 */
export type HandlerResult = string | Uint8Array | HandlerReply | object | number | boolean | null | Error;

/** What TorchServe gives as `context.system_properties`. */
export interface SystemProperties {
  /** Folder of the unpacked archive. */
  readonly model_dir: string;
  readonly gpu_id: number | null;
  /** TargetModel without its suffix. */
  readonly model_name: string;
  /** Requests of this call; 1 in `initialize`. */
  readonly batch_size: number;
  readonly server_name: string;
  readonly server_version: string;
}

export interface Manifest {
  /** Digest over the model's files. */
  readonly sha256: string;
  readonly model: { readonly modelName: string; readonly handler: string; readonly serializedFile?: string };
}

/** What `initialize` is given. */
export interface InitializeContext {
  readonly systemProperties: SystemProperties;
  /** The same under TorchServe's name. */
  readonly system_properties: SystemProperties;
  readonly manifest: Manifest;
  /** `models/model.onnx` in its session child; undefined when the archive has none. */
  readonly network: Network | undefined;
}

/** What a call is given besides the requests. */
export interface HandlerContext extends InitializeContext {
  /**
   * Aborted on deadline, client gone, unload. What still runs five seconds later is killed; what does not come back to
   * its event loop, and so can't hear of it, at once.
   */
  readonly signal: AbortSignal;
  /** Epoch milliseconds after which the answer is worthless. */
  readonly deadline: number;
  /** Folder of this call, removed after it: the only one that can be written. */
  readonly scratchDir: string;
  /** Tells how far the work is, 0 to 1. */
  progress(fraction: number, phase: string): void;
  /** Sets a header of the i-th answer. */
  setResponseHeader(index: number, name: string, value: string): void;
  /** Sets the content type of the i-th answer. */
  setResponseContentType(index: number, contentType: string): void;
  /** Sets the status of the i-th answer: 200 to 299. */
  setResponseStatus(index: number, status: number): void;
  /**
   * Runs the archive's MONAI bundle on a request, as the endpoint does without a handler: fetch, transforms, network,
   * results. It runs in a process of the server, with the server's own rights. Rejects with the error of the request.
   */
  runBundle(
    request: Pick<HandlerRequest, 'headers'> & Partial<Pick<HandlerRequest, 'body' | 'bodyPath'>>,
  ): Promise<{ readonly body: Uint8Array; readonly contentType: string; readonly status: number }>;
}

/**
 * A handler: `handle`, or `inference` with `preprocess` and `postprocess` around it. As a class (exported as default, or
 * as the only one), or as functions of the module. Each may be async. The answers are as many as the requests, in order.
 *
 * `Prepared` is what `preprocess` gives, `Inferred` what `inference` gives: the author's own.
 */
export interface Handler<Prepared = unknown, Inferred = unknown> {
  /** Called once, before any request; a throw fails the load. */
  initialize?(context: InitializeContext): MaybePromise<void>;
  preprocess?(requests: readonly HandlerRequest[], context: HandlerContext): MaybePromise<Prepared>;
  inference?(data: Prepared, context: HandlerContext): MaybePromise<Inferred>;
  postprocess?(data: Inferred, context: HandlerContext): MaybePromise<readonly HandlerResult[]>;
  handle?(requests: readonly HandlerRequest[], context: HandlerContext): MaybePromise<readonly HandlerResult[]>;
}

/**
 * The functions of SageMaker's `inference.py`, exported by name (also in its spelling, `model_fn`). Only `predictFn` must
 * be there; they are called for one request after another.
 */
export interface InferenceFunctions<Model = unknown, Input = unknown, Prediction = unknown> {
  modelFn?(modelDir: string, context: InitializeContext): MaybePromise<Model>;
  inputFn?(body: Uint8Array, contentType: string, context: HandlerContext): MaybePromise<Input>;
  predictFn(data: Input, model: Model, context: HandlerContext): MaybePromise<Prediction>;
  outputFn?(prediction: Prediction, accept: string, context: HandlerContext): MaybePromise<HandlerResult>;
}
