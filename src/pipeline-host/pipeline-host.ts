import type { BackgroundPlan } from '../api/background-status.ts';
import { abortError, asEndpointError, EndpointError } from '../errors.ts';
import type { BatchRule, ModelFacts } from '../handlers/contract.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { Logger } from '../logger.ts';
import type { SlotBroker } from '../sessions/slots.ts';
import { noSpan, type SpanRecord } from '../tracing/span.ts';
import { JobAdmission, type SharedMemory } from './job-admission.ts';
import { JobMemory } from './job-memory.ts';
import { JobPace, type WaitingRequests } from './job-pace.ts';
import { JobQueue } from './job-queue.ts';
import type { Lane, LaneProcess } from './lane.ts';
import { LanePool } from './lane-pool.ts';
import { PipelineProcess, type PipelineProcessOptions } from './pipeline-process.ts';
import type { Errand, JobItem, PipelineModel, PipelineSettings } from './protocol.ts';
import { runJob } from './run-job.ts';
import { type JobCall, type JobRequest, WaitingJob } from './waiting-job.ts';

export type { JobRequest } from './waiting-job.ts';

export interface PipelineHostOptions {
  /** Most processes, each with one job at a time. */
  readonly processes: number;
  readonly settings: PipelineSettings;
  readonly slots: SlotBroker;
  /** Degradations that answers shall tell: a fallback to another execution provider. */
  readonly warnings: () => readonly string[];
  readonly logger: Logger;
  /** Requests that may wait; one more is refused with `overloaded`. */
  readonly maxQueued: number;
  /** The same for each model. Default: `maxQueued`. */
  readonly maxQueuedPerModel?: number;
  /** Jobs of one model that run at once. Default: `processes`. */
  readonly maxConcurrentPerModel?: number;
  /** Memory that jobs share with models. Default: jobs start whatever they need. */
  readonly memory?: SharedMemory;
  /** Given the spans that pipeline processes record. Default: they are dropped. */
  readonly onSpan?: (record: SpanRecord) => void;
  /** @default 5000 */
  readonly cancelGraceMs?: number;
  /** Starts a process. Default: a real one. */
  readonly startProcess?: (options: PipelineProcessOptions) => LaneProcess;
  /** Models with code of their own, whose jobs never run in a shared process. */
  readonly custom?: CustomJobs;
}

/** Where the jobs of models with code of their own run. */
export interface CustomJobs {
  serves(modelKey: string): boolean;
  run(
    request: JobRequest,
    signal: AbortSignal,
    onProgress?: (fraction: number, phase: string) => void,
  ): Promise<readonly JobItem[]>;
}

const errandAttempts = 5;
/** Memory comes back without an event: a job that waits for it is looked at again after this. */
const lookAgainMs = 200;

/**
 * The front's scheduler of jobs over pipeline processes: a bounded line, models in turn, each within its limit, batches
 * for those that take them, and no more at once than memory has room for. A process that dies costs its own job
 * (`worker_crashed`).
 */
export class PipelineHost {
  readonly #options: PipelineHostOptions;
  readonly #pool: LanePool;
  readonly #queue = new JobQueue<WaitingJob>();
  readonly #batches = new Map<string, BatchRule>();
  readonly #pace = new JobPace();
  readonly #jobMemory = new JobMemory();
  readonly #admission: JobAdmission | undefined;
  #dispatchTimer: NodeJS.Timeout | undefined;
  #lookTimer: NodeJS.Timeout | undefined;
  #nextJobId = 0;
  #closed = false;

  constructor(options: PipelineHostOptions) {
    this.#options = options;
    this.#admission = options.memory ? new JobAdmission(options.memory) : undefined;
    const { processes, settings, slots, logger, cancelGraceMs = 5000, onSpan = () => undefined } = options;
    const start = options.startProcess ?? ((processOptions) => new PipelineProcess(processOptions));
    this.#pool = new LanePool({
      processes,
      logger,
      start: (onExit) => start({ settings, slots, logger, cancelGraceMs, onSpan, onExit }),
      onChange: () => this.#dispatch(),
    });
  }

  /** Requests that wait. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Requests that wait, by model; models without any are left out. */
  queuedByModel(): WaitingRequests[] {
    return this.#queue.modelNames.map((modelName) => ({ modelName, requests: this.#queue.sizeOf(modelName) }));
  }

  get running(): number {
    return this.#pool.running().length;
  }

  get processes(): number {
    return this.#pool.lanes.size;
  }

  /** Processes that died, except by `close` and to give memory back. */
  get crashes(): number {
    return this.#pool.crashes;
  }

  /** Starts in a row that failed before the process was ready. */
  get consecutiveFailedStarts(): number {
    return this.#pool.failedStarts;
  }

  /** Resolves when a process is ready to work. */
  async whenReady(): Promise<void> {
    await this.#pool.whenReady();
  }

  /**
   * Runs the model's `initialize` in a process: the check at load.
   *
   * @param signature - of the loaded network, once it is known: checked too
   *
   * @throws EndpointError `unsupported_bundle`, `invalid_archive`, `worker_crashed`; the signal's reason
   */
  async prepare(model: PipelineModel, signal: AbortSignal, signature?: NetworkSignature): Promise<ModelFacts> {
    const prepared = this.#pool.prepare(model, signature);
    const facts = await Promise.race([prepared, rejectOnAbort(signal, prepared)]);
    if (facts.batch && facts.batch.maxSize > 1) this.#batches.set(model.key, facts.batch);
    return facts;
  }

  /** The model is unloaded: what `prepare` told of it is forgotten. */
  forget(modelKey: string): void {
    this.#batches.delete(modelKey);
  }

  /**
   * Runs one job on the next free process, together with others of its model where that takes batches.
   *
   * @throws EndpointError `overloaded` when the queue is full; the signal's reason; what the handler failed with
   */
  run(
    request: JobRequest,
    signal: AbortSignal,
    onProgress?: (fraction: number, phase: string) => void,
  ): Promise<readonly JobItem[]> {
    if (this.#closed) return Promise.reject(new EndpointError('overloaded', 'The server is shutting down.'));
    if (signal.aborted) return Promise.reject(abortError(signal));
    const { custom } = this.#options;
    if (custom?.serves(request.model.key) && !request.builtIn) return custom.run(request, signal, onProgress);
    const queueSpan = (request.span ?? noSpan).child('queue');
    return new Promise((resolve, reject) => {
      const withdraw = (): void => this.#withdraw(job, call, abortError(signal));
      const settled = (): void => signal.removeEventListener('abort', withdraw);
      const call: JobCall = {
        request,
        signal,
        queuedAt: performance.now(),
        onProgress,
        queueSpan,
        resolve: (items) => {
          settled();
          resolve(items);
        },
        reject: (error) => {
          queueSpan.end(asEndpointError(error).code);
          settled();
          reject(error);
        },
      };
      const job = this.#line(call);
      signal.addEventListener('abort', withdraw, { once: true });
      this.#dispatch();
      const refusal = job.calls.includes(call) ? this.#refusal(job) : undefined;
      if (refusal) this.#withdraw(job, call, refusal);
    });
  }

  /**
   * Has a process do a small work beside its job. A process that dies (of its job) costs an errand nothing: it begins again
   * on the next one.
   *
   * @returns the plan where one was asked for
   * @throws EndpointError what the errand failed with: `forbidden`, `input_not_found`, `upstream_failed`, …;
   *   `invalid_request` for the plan of a model with code of its own; the signal's reason
   */
  async errand(errand: Errand, signal: AbortSignal): Promise<BackgroundPlan | undefined> {
    if (errand.kind === 'plan' && this.#options.custom?.serves(errand.model.key)) {
      throw new EndpointError('invalid_request', 'This model\'s own handler takes no "mode": "background".');
    }
    for (let attempt = 1; ; attempt++) {
      if (this.#closed) throw new EndpointError('overloaded', 'The server is shutting down.');
      try {
        return await this.#pool.errand(errand, signal);
      } catch (thrown) {
        const died = thrown instanceof EndpointError && thrown.code === 'worker_crashed';
        if (!died || attempt >= errandAttempts || signal.aborted) throw thrown;
      }
    }
  }

  /** Ends every process. Jobs that still run get `worker_crashed`. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#dispatchTimer);
    clearInterval(this.#lookTimer);
    this.#pool.close();
  }

  /** Puts a call into the line: into a job of its model that takes more, else as a job of its own. */
  #line(call: JobCall): WaitingJob {
    const last = this.#queue.jobsOf(call.request.model.name).at(-1);
    if (last?.accepts(call)) {
      last.calls.push(call);
      return last;
    }
    const job = new WaitingJob(call, this.#batches.get(call.request.model.key));
    this.#queue.push(job);
    return job;
  }

  /** A call leaves the line; nothing happens when its job has begun. */
  #withdraw(job: WaitingJob, call: JobCall, error: EndpointError): void {
    const at = job.calls.indexOf(call);
    if (at < 0) return;
    job.calls.splice(at, 1);
    if (job.calls.length === 0) this.#queue.remove(job);
    call.reject(error);
    this.#dispatch();
  }

  /** Why the newest of the waiting calls can't stay in the line. */
  #refusal({ modelName }: WaitingJob): EndpointError | undefined {
    const { maxQueued, maxQueuedPerModel = maxQueued, maxConcurrentPerModel, processes } = this.#options;
    const refuse = (message: string, waiting: readonly WaitingRequests[], lanes: number): EndpointError => {
      const retryAfterSeconds = this.#pace.retryAfterSeconds(waiting, lanes);
      return new EndpointError('overloaded', `${message} Try again later.`, { details: { retryAfterSeconds } });
    };
    if (this.#queue.size > maxQueued) {
      return refuse(`The queue is full (${maxQueued} requests wait).`, this.queuedByModel(), processes);
    }
    const requests = this.#queue.sizeOf(modelName);
    if (requests <= maxQueuedPerModel) return undefined;
    const turns = Math.ceil(processes / this.#queue.modelNames.length);
    const message = `The queue of this model is full (${maxQueuedPerModel} requests wait).`;
    return refuse(message, [{ modelName, requests }], Math.min(maxConcurrentPerModel ?? processes, turns));
  }

  #dispatch(): void {
    clearTimeout(this.#dispatchTimer);
    for (let lane = this.#pool.idle; lane; lane = this.#pool.idle) {
      const job = this.#nextJob();
      if (!job) break;
      const needBytes = this.#admission ? this.#jobMemory.estimateBytes(digestOf(job), job.input) : 0;
      if (this.#admission && !this.#admission.admits(needBytes, this.#pool.lanes, lane)) {
        this.#dispatchAfter(lookAgainMs);
        break;
      }
      this.#pool.take(lane);
      this.#queue.take(job);
      void this.#run(lane, job, needBytes);
    }
    this.#pool.grow();
  }

  /** The job whose turn it is; when all of them still wait for company, the line is looked at again. */
  #nextJob(): WaitingJob | undefined {
    const now = performance.now();
    const most = this.#options.maxConcurrentPerModel ?? this.#options.processes;
    let soonestMs = Infinity;
    const next = this.#queue.next((job) => {
      if (this.#pool.running(job.modelName).length >= most) return false;
      const waitsForMs = job.waitsForMs(now);
      soonestMs = Math.min(soonestMs, waitsForMs);
      return waitsForMs === 0;
    });
    if (!next && soonestMs < Infinity) this.#dispatchAfter(soonestMs);
    return next;
  }

  #dispatchAfter(ms: number): void {
    clearTimeout(this.#dispatchTimer);
    this.#dispatchTimer = setTimeout(() => this.#dispatch(), Math.ceil(ms));
  }

  async #run(lane: Lane, job: WaitingJob, needBytes: number): Promise<void> {
    const { modelName, input } = job;
    const calls = job.calls.splice(0); // those who leave from now on leave a running job
    const startedAt = performance.now();
    lane.begin(modelName, needBytes);
    this.#lookTimer ??= setInterval(() => this.#lookAtAll(), lookAgainMs).unref();
    const begin = { jobId: this.#nextJobId++, warnings: this.#options.warnings() };
    const end = await runJob(lane.process, calls, begin);
    const requests = calls.reduce((sum, { request }) => sum + request.requests.length, 0);
    if (end === 'whole') this.#pace.ended(modelName, requests, performance.now() - startedAt);
    const peakBytes = await lane.end();
    const digest = (calls[0] as JobCall).request.model.digest;
    if (peakBytes !== undefined) this.#jobMemory.record(digest, input, peakBytes, end === 'whole');
    this.#pool.giveBack(lane);
  }

  #lookAtAll(): void {
    for (const lane of this.#pool.lanes) void lane.look();
    if (this.running > 0) return;
    clearInterval(this.#lookTimer);
    this.#lookTimer = undefined;
  }
}

const digestOf = ({ calls }: WaitingJob): string => (calls[0] as JobCall).request.model.digest;

function rejectOnAbort(signal: AbortSignal, until: Promise<unknown>): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(abortError(signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    const settled = (): void => signal.removeEventListener('abort', abort);
    until.then(settled, settled);
  });
}
