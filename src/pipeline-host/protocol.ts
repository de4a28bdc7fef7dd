/**
 * Messages between the front and a pipeline process, over Node's IPC channel with structured cloning. Big bodies never
 * travel here: they lie in files of the job's scratch folder.
 */
import type { BackgroundPlan, BackgroundStatus } from '../api/background-status.ts';
import type { ErrorBody } from '../errors.ts';
import type { HandlerRequest, HandlerResult, ModelFacts } from '../handlers/contract.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { SlotGrant, SlotOutcome } from '../sessions/slots.ts';
import type { SpanRecord, TraceContext } from '../tracing/span.ts';

/** What a pipeline process must know of a model to run it. */
export interface PipelineModel {
  readonly key: string;
  readonly name: string;
  readonly dir: string;
  readonly digest: string;
}

/** Settings of a pipeline process, sent once after it started. */
export interface PipelineSettings {
  readonly allowedUris: readonly string[];
  readonly allowedDatastores?: readonly string[];
  readonly region?: string;
  readonly healthImagingEndpoint?: string;
  /** Secret access key of a store on this machine that asks for one. */
  readonly healthImagingSecret?: string;
  readonly s3Endpoint?: string;
  readonly healthImagingImport?: { readonly uri: string; readonly roleArn: string };
  readonly dicomWebAuthorization?: readonly { readonly prefix: string; readonly value: string }[];
  /** Compute threads of this process. */
  readonly threads: number;
  /** Windows that run at once over all session children. */
  readonly workers: number;
  /** Whether networks run on a GPU, where one run of several windows is faster than as many runs. */
  readonly gainsFromBatches?: boolean;
  /** Most bytes of files that an answer may carry itself. */
  readonly maxAnswerBytes: number;
  readonly logLevel: string;
  /** Prefixes that {@link Errand}s may write under, besides `allowedUris`. */
  readonly storeUris?: readonly string[];
}

/** Small work of a process beside its job: files that are brought or taken away whole, background requests' beginnings. */
export type Errand =
  | { readonly kind: 'fetch'; readonly uri: string; readonly toPath: string; readonly limitBytes: number }
  | { readonly kind: 'store'; readonly uri: string; readonly fromPath: string; readonly contentType: string }
  | { readonly kind: 'plan'; readonly model: PipelineModel; readonly request: HandlerRequest }
  | { readonly kind: 'status'; readonly prefixUri: string; readonly status: BackgroundStatus };

/** One call of a handler. */
export interface PipelineJob {
  readonly jobId: number;
  readonly model: PipelineModel;
  readonly signature: NetworkSignature;
  readonly requests: readonly HandlerRequest[];
  /** Epoch milliseconds. */
  readonly deadline: number;
  readonly scratchDir: string;
  readonly waitedMs: { readonly queue: number; readonly load: number };
  /** Degradations of the server that the answer shall tell. */
  readonly warnings: readonly string[];
  /** A slot for the job's first window, where one was free when the job was sent: nothing has to be asked then. */
  readonly slot?: SlotGrant;
  /** Run the archive's bundle though it has code of its own: that code asks for it. */
  readonly builtIn?: boolean;
  /** The front's span of this job, under which the process records its own; undefined: nothing is traced. */
  readonly trace?: TraceContext | undefined;
}

/** The i-th result of a job: what the handler gave, or why this item failed. */
export type JobItem =
  | { readonly ok: true; readonly result: HandlerResult; readonly headers: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly error: ErrorBody };

export type ToPipeline =
  | { readonly type: 'configure'; readonly settings: PipelineSettings }
  | {
      readonly type: 'prepare';
      readonly id: number;
      readonly model: PipelineModel;
      readonly signature?: NetworkSignature;
    }
  | { readonly type: 'job'; readonly job: PipelineJob }
  /** `index`: of one request of the job; without it, all of it. */
  | { readonly type: 'cancel'; readonly jobId: number; readonly index?: number; readonly error: ErrorBody }
  | { readonly type: 'granted'; readonly id: number; readonly grant: SlotGrant }
  | { readonly type: 'refused'; readonly id: number; readonly error: ErrorBody }
  | { readonly type: 'discard'; readonly prefixUri: string }
  | { readonly type: 'errand'; readonly id: number; readonly errand: Errand }
  | { readonly type: 'stop-errand'; readonly id: number; readonly error: ErrorBody };

/** What a pipeline process says; several messages may come as one list, which costs the front one read. */
export type FromPipeline =
  | { readonly type: 'ready' }
  | { readonly type: 'prepared'; readonly id: number; readonly model: ModelFacts }
  | { readonly type: 'unprepared'; readonly id: number; readonly error: ErrorBody }
  | { readonly type: 'result'; readonly jobId: number; readonly items: readonly JobItem[] }
  | { readonly type: 'failed'; readonly jobId: number; readonly error: ErrorBody }
  | { readonly type: 'progress'; readonly jobId: number; readonly fraction: number; readonly phase: string }
  /** The process has heard of a cancellation: its event loop turns. Processes of custom code say so. */
  | { readonly type: 'cancelling'; readonly jobId: number }
  /** The job is about to write under this prefix; should the process die, another one removes what it left. */
  | { readonly type: 'writing'; readonly jobId: number; readonly prefixUri: string }
  | {
      readonly type: 'errand-done';
      readonly id: number;
      readonly error?: ErrorBody;
      /** Of `plan`. */
      readonly plan?: BackgroundPlan;
    }
  /** A part of the job ended; the front alone has an exporter. */
  | { readonly type: 'span'; readonly jobId: number; readonly record: SpanRecord }
  | { readonly type: 'acquire'; readonly id: number; readonly modelKey: string }
  | { readonly type: 'withdraw'; readonly id: number }
  | { readonly type: 'release'; readonly grantId: number; readonly outcome: SlotOutcome };
