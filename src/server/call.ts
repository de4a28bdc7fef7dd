import type { ModelLease } from '../model-cache/model.ts';
import type { JobRequest } from '../pipeline-host/pipeline-host.ts';
import type { Span } from '../tracing/span.ts';
import type { ReceivedBody } from './request-body.ts';

/** Finds a model another way than by its TargetModel (SageMaker's `/models/{n}/invoke`). */
export type Acquire = (signal: AbortSignal, bundle: string | undefined) => Promise<ModelLease>;

/** Told how far the work is, 0 to 1. */
export type OnProgress = (fraction: number, phase: string) => void;

/** What a call may say of its body to the handler. */
export type HandlerProtocol = NonNullable<JobRequest['requests'][number]['protocol']>;

/** One inference: a whole request, or one line of it. */
export interface Call {
  readonly requestId: string;
  /** As `performance.now()`. */
  readonly startedAt: number;
  /** Epoch milliseconds. */
  readonly deadline: number;
  readonly signal: AbortSignal;
  readonly scratchDir: string;
  /** Under which its load, wait and run are recorded. */
  readonly span: Span;
  /** What the handler sees; lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: ReceivedBody;
  readonly acquire?: Acquire | undefined;
  readonly onProgress?: OnProgress | undefined;
  readonly protocol?: HandlerProtocol | undefined;
  /** Told the name of the model once it is known. */
  readonly onModel?: ((name: string) => void) | undefined;
}
