import { statSync } from 'node:fs';
import type { BatchRule, HandlerRequest } from '../handlers/contract.ts';
import type { Span } from '../tracing/span.ts';
import type { InputSize } from './job-memory.ts';
import type { QueuedJob } from './job-queue.ts';
import type { JobItem, PipelineJob } from './protocol.ts';

/** A job before it has a process: its queue time is filled in when it gets one. */
export type JobRequest = Omit<PipelineJob, 'jobId' | 'waitedMs' | 'warnings' | 'trace' | 'slot'> & {
  readonly loadMs: number;
  /** Span of the request, under which the wait and the run are recorded. */
  readonly span?: Span | undefined;
};

/** One caller of `PipelineHost.run`, who waits for the answer to its own requests. */
export interface JobCall {
  readonly request: JobRequest;
  readonly signal: AbortSignal;
  readonly queuedAt: number;
  /** Ends when the wait does. */
  readonly queueSpan?: Span | undefined;
  readonly onProgress: ((fraction: number, phase: string) => void) | undefined;
  readonly resolve: (items: readonly JobItem[]) => void;
  readonly reject: (error: Error) => void;
}

/** A model that asks for no batches gets its requests one by one. */
const oneByOne: BatchRule = { maxSize: 1, maxDelayMs: 0 };

/** A job in the line: the requests of one caller, or of several where the model takes batches. */
export class WaitingJob implements QueuedJob {
  readonly modelName: string;
  readonly modelKey: string;
  readonly calls: JobCall[];
  readonly #rule: BatchRule;
  readonly #readyAt: number;

  constructor(call: JobCall, rule: BatchRule = oneByOne) {
    this.modelName = call.request.model.name;
    this.modelKey = call.request.model.key;
    this.calls = [call];
    this.#rule = rule;
    this.#readyAt = call.queuedAt + rule.maxDelayMs;
  }

  get requests(): number {
    return this.calls.reduce((sum, { request }) => sum + request.requests.length, 0);
  }

  /** Whether a call of the same model can come along. */
  accepts(call: JobCall): boolean {
    const sameModel = this.modelKey === call.request.model.key;
    return sameModel && this.requests + call.request.requests.length <= this.#rule.maxSize;
  }

  /** Milliseconds that it still waits for more calls; 0 when it is full or has waited long enough. */
  waitsForMs(now: number): number {
    return this.requests >= this.#rule.maxSize ? 0 : Math.max(0, this.#readyAt - now);
  }

  get input(): InputSize {
    const requests = this.calls.flatMap(({ request }) => request.requests);
    const dataBytes = requests.reduce((sum, request) => sum + imageBytes(request), 0);
    return dataBytes > 0 ? { kind: 'data', amount: dataBytes } : { kind: 'named', amount: requests.length };
  }
}

/** JSON this small names its images; what is bigger carries numbers. */
const smallJsonBytes = 64 * 1024;

/** Bytes of a body that is data; 0 when it names images that lie elsewhere. */
function imageBytes(request: HandlerRequest): number {
  const bytes =
    request.bodyPath === undefined
      ? (request.body?.length ?? 0)
      : (statSync(request.bodyPath, { throwIfNoEntry: false })?.size ?? 0);
  const type = request.headers['content-type'] ?? 'application/json';
  return /^application\/json\b/i.test(type) && bytes < smallJsonBytes ? 0 : Math.max(1, bytes);
}
