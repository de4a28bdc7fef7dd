import type { BackgroundPlan } from '../api/background-status.ts';
import { abortError, EndpointError } from '../errors.ts';
import type { ModelFacts } from '../handlers/contract.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { Logger } from '../logger.ts';
import type { SlotBroker } from '../sessions/slots.ts';
import { JobQueue } from './job-queue.ts';
import { PipelineProcess } from './pipeline-process.ts';
import type { Errand, JobItem, PipelineJob, PipelineModel, PipelineSettings } from './protocol.ts';

export interface PipelineHostOptions {
  /** Most processes, each with one job at a time. */
  readonly processes: number;
  readonly settings: PipelineSettings;
  readonly slots: SlotBroker;
  /** Degradations that answers shall tell: a fallback to another execution provider. */
  readonly warnings: () => readonly string[];
  readonly logger: Logger;
  /** Jobs that may wait; one more is refused with `overloaded`. */
  readonly maxQueued: number;
  /** @default 5000 */
  readonly cancelGraceMs?: number;
}

const errandAttempts = 5;

/** A job before it has a process: its queue time is filled in when it gets one. */
export type JobRequest = Omit<PipelineJob, 'jobId' | 'waitedMs' | 'warnings'> & { readonly loadMs: number };

interface WaitingJob {
  readonly modelName: string;
  readonly start: (process: PipelineProcess) => void;
}

/**
 * The front's pool of pipeline processes. One process is always there; more start, up to the limit, when jobs wait.
 * A process that dies costs its own job (`worker_crashed`); a new one takes its place.
 */
export class PipelineHost {
  readonly #options: PipelineHostOptions;
  readonly #processes = new Set<PipelineProcess>();
  readonly #idle: PipelineProcess[] = [];
  readonly #queue = new JobQueue<WaitingJob>();
  #nextJobId = 0;
  #closed = false;
  #failedStarts = 0;
  #crashes = 0;
  #running = 0;

  constructor(options: PipelineHostOptions) {
    this.#options = options;
    this.#spawn();
  }

  get queued(): number {
    return this.#queue.size;
  }

  get running(): number {
    return this.#running;
  }

  get processes(): number {
    return this.#processes.size;
  }

  /** Processes that died, except by `close`. */
  get crashes(): number {
    return this.#crashes;
  }

  /** Starts in a row that failed before the process was ready. */
  get consecutiveFailedStarts(): number {
    return this.#failedStarts;
  }

  /** Resolves when a process is ready to work. */
  async whenReady(): Promise<void> {
    await this.#anyProcess().ready;
  }

  /**
   * Runs the model's `initialize` in a process: the check at load.
   *
   * @param signature - of the loaded network, once it is known: checked too
   *
   * @throws EndpointError `unsupported_bundle`, `invalid_archive`, `worker_crashed`
   */
  async prepare(model: PipelineModel, signal: AbortSignal, signature?: NetworkSignature): Promise<ModelFacts> {
    const process = this.#anyProcess();
    await process.ready;
    const prepared = process.prepare(model, signature);
    return await Promise.race([prepared, rejectOnAbort(signal, prepared)]);
  }

  /**
   * Runs one job on the next free process.
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
    if (this.#idle.length === 0 && this.#queue.size >= this.#options.maxQueued) {
      const message = `The queue is full (${this.#options.maxQueued} requests wait). Try again later.`;
      return Promise.reject(new EndpointError('overloaded', message));
    }
    const queuedAt = performance.now();
    return new Promise((resolve, reject) => {
      const waiting: WaitingJob = {
        modelName: request.model.name,
        start: (process) => {
          signal.removeEventListener('abort', withdraw);
          const { loadMs, ...job } = request;
          const waitedMs = { queue: performance.now() - queuedAt, load: loadMs };
          this.#running++;
          process
            .run({ ...job, jobId: this.#nextJobId++, waitedMs, warnings: this.#options.warnings() }, signal, onProgress)
            .then(resolve, reject)
            .finally(() => {
              this.#running--;
              this.#freed(process);
            });
        },
      };
      const withdraw = (): void => {
        if (this.#queue.remove(waiting)) reject(abortError(signal));
      };
      signal.addEventListener('abort', withdraw, { once: true });
      this.#queue.push(waiting);
      this.#dispatch();
    });
  }

  /**
   * Has a process do a small work beside its job. A process that dies (of its job) costs an errand nothing: it begins again
   * on the next one.
   *
   * @returns the plan where one was asked for
   * @throws EndpointError what the errand failed with: `forbidden`, `input_not_found`, `upstream_failed`, …; the signal's
   *   reason
   */
  async errand(errand: Errand, signal: AbortSignal): Promise<BackgroundPlan | undefined> {
    for (let attempt = 1; ; attempt++) {
      if (this.#closed) throw new EndpointError('overloaded', 'The server is shutting down.');
      const process = this.#anyProcess();
      try {
        await process.ready;
        return await process.errand(errand, signal);
      } catch (thrown) {
        const died = thrown instanceof EndpointError && thrown.code === 'worker_crashed';
        if (!died || attempt >= errandAttempts || signal.aborted) throw thrown;
      }
    }
  }

  /** Ends every process. Jobs that still run get `worker_crashed`. */
  close(): void {
    this.#closed = true;
    for (const process of this.#processes) process.kill();
  }

  #dispatch(): void {
    while (this.#queue.size > 0 && this.#idle.length > 0) {
      const process = this.#idle.pop() as PipelineProcess;
      this.#queue.shift()?.start(process);
    }
    if (!this.#closed && this.#idle.length === 0 && this.#processes.size < this.#options.processes) this.#spawn();
  }

  #freed(process: PipelineProcess): void {
    if (this.#processes.has(process)) this.#idle.push(process);
    this.#dispatch();
  }

  #spawn(): void {
    const process: PipelineProcess = new PipelineProcess({
      settings: this.#options.settings,
      slots: this.#options.slots,
      logger: this.#options.logger,
      cancelGraceMs: this.#options.cancelGraceMs ?? 5000,
      onExit: (leftPrefixUri) => this.#lost(process, leftPrefixUri),
    });
    this.#processes.add(process);
    process.ready.then(
      () => {
        this.#failedStarts = 0;
        this.#freed(process);
      },
      () => {
        this.#failedStarts++;
      },
    );
  }

  #lost(process: PipelineProcess, leftPrefixUri: string | undefined): void {
    this.#processes.delete(process);
    const at = this.#idle.indexOf(process);
    if (at >= 0) this.#idle.splice(at, 1);
    if (this.#closed) return;
    this.#crashes++;
    this.#options.logger.error({ pid: process.pid }, 'a pipeline process died');
    // A start that fails at once must not become a busy loop of starts.
    const delayMs = this.#failedStarts === 0 ? 0 : Math.min(5000, 100 * 2 ** this.#failedStarts);
    setTimeout(() => {
      if (this.#closed) return;
      if (this.#processes.size === 0) this.#spawn();
      if (leftPrefixUri !== undefined) void this.#discard(leftPrefixUri);
      this.#dispatch();
    }, delayMs).unref();
  }

  async #discard(prefixUri: string): Promise<void> {
    const process = this.#anyProcess();
    await process.ready.catch(() => undefined);
    process.discard(prefixUri);
  }

  #anyProcess(): PipelineProcess {
    if (this.#processes.size === 0) this.#spawn();
    return this.#idle.at(-1) ?? (this.#processes.values().next().value as PipelineProcess);
  }
}

function rejectOnAbort(signal: AbortSignal, until: Promise<unknown>): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(abortError(signal));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    const settled = (): void => signal.removeEventListener('abort', abort);
    until.then(settled, settled);
  });
}
