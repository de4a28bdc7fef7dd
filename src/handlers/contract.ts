/**
 * The handler contract, in TorchServe's words (design §6): `initialize` once, then `handle` (or `preprocess` →
 * `inference` → `postprocess`) on lists of requests; the result list has the same length and order, and an element may
 * be an error, which fails that item alone.
 */
import type { BackgroundPlan } from '../api/background-status.ts';
import type { TimingsMs } from '../api/invocation.ts';
import type { Network } from '../imaging/network.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { Span } from '../tracing/span.ts';

/** One request as a handler sees it. */
export interface HandlerRequest {
  /** The body, or undefined when it was spooled to `bodyPath` (over 1 MiB). */
  readonly body?: Uint8Array;
  readonly bodyPath?: string;
  /** Lower-case header names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly requestId: string;
  /** The work goes on after the answer: where its progress is written. */
  readonly background?: BackgroundPlan;
  /** Set where the call itself says what its body is (`/v2/…/infer`); other calls' bodies speak for themselves. */
  readonly protocol?: 'oip';
  /** Aborted when this request alone is cancelled, or the whole call; its reason is the error to throw. */
  readonly signal?: AbortSignal;
  /** The request's own deadline, folder and waits where several requests come in one call; else those of the call. */
  readonly deadline?: number;
  readonly scratchDir?: string;
  readonly waitedMs?: HandlerContext['waitedMs'];
}

/** How many requests a handler takes in one call, and how long the first of them waits for others (`map.json`). */
export interface BatchRule {
  readonly maxSize: number;
  readonly maxDelayMs: number;
}

/** One result: bytes (or a file in the request's scratch folder), their type, and headers to answer with. */
export interface HandlerResult {
  readonly body?: Uint8Array;
  readonly bodyPath?: string;
  readonly contentType: string;
  readonly status?: number;
  /** Time of each phase, for the metrics. */
  readonly timingsMs?: Readonly<Partial<TimingsMs>>;
}

export interface SystemProperties {
  /** Folder of the unpacked bundle. */
  readonly model_dir: string;
  readonly gpu_id: number | null;
  /** Name of the model: TargetModel without its suffix. */
  readonly model_name: string;
}

/** What a handler is given besides the requests. */
export interface HandlerContext {
  readonly systemProperties: SystemProperties;
  /** Identity of the model: digest over its files. */
  readonly manifest: { readonly sha256: string };
  /** Aborted on deadline, client gone, unload. Its reason is the error to throw. */
  readonly signal: AbortSignal;
  /** Epoch milliseconds after which the answer is worthless. */
  readonly deadline: number;
  /** Folder of this call, removed after it. */
  readonly scratchDir: string;
  /** Milliseconds that the call waited before it reached the handler. */
  readonly waitedMs: { readonly queue: number; readonly load: number };
  /** Degradations of the server that the answer shall tell. */
  readonly warnings: readonly string[];
  /** The loaded network; undefined for a model without one (a custom handler's). */
  readonly network: Network | undefined;
  /** Span of the call; undefined when nothing is traced. */
  readonly span?: Span | undefined;
  /** Tells how far the work is, 0 to 1. */
  progress(fraction: number, phase: string): void;
  /** Tells, before the first write, where results will be written: should this process die, another one cleans up. */
  writing(prefixUri: string): void;
  /** Sets a header of the i-th answer. */
  setResponseHeader(index: number, name: string, value: string): void;
}

/** What `initialize` is given: there is no request yet. */
export type InitializeContext = Pick<HandlerContext, 'systemProperties' | 'manifest'>;

/** What an initialized handler tells of its model. */
export interface ModelFacts {
  readonly version: string;
  /** The model's own limit (`map.json`), where it has one. */
  readonly timeoutSeconds?: number;
  /** Spatial axes of what the network is given, where the bundle fixes them. */
  readonly windowShape?: readonly number[];
  /** Where the model takes several requests in one call. */
  readonly batch?: BatchRule;
}

/** A model's code between the requests and the network. Each method may be async. */
export interface Handler {
  /** Called once; a throw fails the load with its cause, and nothing stays registered. */
  initialize(context: InitializeContext): Promise<ModelFacts> | ModelFacts;
  /**
   * Checks that the loaded network fits the handler; called at load, before any request.
   *
   * @throws EndpointError `unsupported_bundle`
   */
  checkNetwork?(signature: NetworkSignature): void;
  handle(
    requests: readonly HandlerRequest[],
    context: HandlerContext,
  ): Promise<readonly (HandlerResult | Error)[]> | readonly (HandlerResult | Error)[];
}
