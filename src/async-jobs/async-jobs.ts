import { setTimeout as sleep } from 'node:timers/promises';
import { asEndpointError, EndpointError } from '../errors.ts';
import { type Logger, loggableError } from '../logger.ts';
import type { AsyncJob, AsyncOutcome } from './async-job.ts';
import type { AnswerContent, JobFolder } from './job-folder.ts';
import { type Notifier, notificationOf } from './notification.ts';

/** What a job's run gives: the model's answer. */
export interface AsyncAnswer {
  readonly contentType: string;
  readonly content: AnswerContent;
  /** Removes the files of the run; called once the answer is kept. */
  release(): Promise<void>;
}

/** Port: the work itself, done by the endpoint's models and by whoever reaches the places of inputs and outputs. */
export interface AsyncWork {
  /**
   * Fetches the job's body and runs its model.
   *
   * @param bodyPath - the body, where it came with the call
   * @throws EndpointError what became of it; `overloaded`, and `insufficient_memory` beside other jobs: try again later
   */
  invoke(job: AsyncJob, bodyPath: string | undefined, signal: AbortSignal): Promise<AsyncAnswer>;
  /** Writes a file to a URI at once: readers see all of it or nothing. */
  deliver(uri: string, path: string, contentType: string, signal: AbortSignal): Promise<void>;
}

export interface AsyncJobsOptions {
  readonly folder: JobFolder;
  readonly work: AsyncWork;
  readonly notifier: Notifier | undefined;
  /** Jobs that run at once. */
  readonly concurrency: number;
  /** Jobs that may wait; one more is refused with `overloaded`. */
  readonly maxBacklog: number;
  /** Told in notifications. */
  readonly region: string;
  readonly logger: Logger;
  /** Waits before an output that could not be written is tried again, in milliseconds. @default up to a minute */
  readonly deliveryWaitsMs?: readonly number[];
  /** Wait before a job that found no room is tried again. @default 1000 */
  readonly noRoomWaitMs?: number;
}

/** A pipeline process that does not end its job by itself is killed by then. */
const cancelMs = 6_000;

interface Waiting {
  readonly job: AsyncJob;
  readonly expiry: NodeJS.Timeout;
}

/**
 * The queue of asynchronous invocations. A job is kept before it is acknowledged, runs when its turn comes, and is
 * forgotten when its output is written and told; a server that is killed takes up again whatever it had not finished.
 */
export class AsyncJobs {
  readonly #options: AsyncJobsOptions;
  readonly #waiting = new Map<string, Waiting>();
  readonly #places = new Set<string>();
  readonly #ongoing = new Set<Promise<void>>();
  readonly #interrupt = new AbortController();
  #running = 0;
  #closing = false;

  private constructor(options: AsyncJobsOptions) {
    this.#options = options;
  }

  /** Opens the queue with the jobs that an earlier process left. */
  static async start(options: AsyncJobsOptions): Promise<AsyncJobs> {
    const jobs = new AsyncJobs(options);
    for (const job of await options.folder.list()) {
      jobs.#places.add(job.outputUri);
      const outcome = await options.folder.outcome(job.jobId);
      if (outcome) jobs.#track(jobs.#finish(job, outcome));
      else jobs.#enqueue(job);
    }
    jobs.#dispatch();
    return jobs;
  }

  /** Jobs that wait for their turn. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * Takes a job; from the return on it is not lost.
   *
   * @throws EndpointError `overloaded`; `conflict` when an unfinished job writes to the same place
   */
  async submit(job: AsyncJob, body?: Uint8Array): Promise<void> {
    if (this.#closing) throw new EndpointError('overloaded', 'The server is shutting down.');
    if (this.#waiting.size >= this.#options.maxBacklog) {
      const message = `The queue is full (${this.#options.maxBacklog} jobs wait). Try again later.`;
      throw new EndpointError('overloaded', message);
    }
    if (this.#places.has(job.outputUri)) {
      throw new EndpointError('conflict', 'A job that is not finished writes to the same file. Name another one.');
    }
    this.#places.add(job.outputUri);
    try {
      await this.#options.folder.add(job, body);
    } catch (thrown) {
      this.#places.delete(job.outputUri);
      throw thrown;
    }
    this.#enqueue(job);
    this.#dispatch();
  }

  /** Takes no more work, lets running jobs end for a while, then stops them: the next start runs them again. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true;
    for (const { expiry } of this.#waiting.values()) clearTimeout(expiry);
    const all = Promise.all(this.#ongoing);
    await Promise.race([all, sleep(graceMs, undefined, { ref: false })]);
    this.#interrupt.abort(new EndpointError('overloaded', 'The server is shutting down.'));
    await Promise.race([Promise.all(this.#ongoing), sleep(cancelMs, undefined, { ref: false })]);
  }

  #enqueue(job: AsyncJob): void {
    const leftMs = Math.max(0, job.receivedAtMs + job.ttlSeconds * 1000 - Date.now());
    const expiry = setTimeout(() => this.#expire(job), leftMs);
    expiry.unref();
    this.#waiting.set(job.jobId, { job, expiry });
  }

  #expire(job: AsyncJob): void {
    if (this.#closing || !this.#waiting.delete(job.jobId)) return;
    const message = `The request waited longer than its RequestTTLSeconds (${job.ttlSeconds} s) and was not run.`;
    this.#track(this.#fail(job, new EndpointError('deadline_exceeded', message)));
  }

  #dispatch(): void {
    while (!this.#closing && this.#running < this.#options.concurrency) {
      const next = this.#waiting.values().next();
      if (next.done) return;
      const { job, expiry } = next.value;
      clearTimeout(expiry);
      this.#waiting.delete(job.jobId);
      this.#running++;
      this.#track(this.#run(job));
    }
  }

  #track(work: Promise<void>): void {
    const done: Promise<void> = work
      .catch((thrown: unknown) => {
        // The record stays: the next start takes the job up again.
        this.#options.logger.error({ error: loggableError(thrown) }, 'an asynchronous job cannot be kept or delivered');
      })
      .finally(() => this.#ongoing.delete(done));
    this.#ongoing.add(done);
  }

  async #run(job: AsyncJob): Promise<void> {
    const ended = await this.#invoke(job).finally(() => {
      this.#running--;
      this.#dispatch();
    });
    if (ended) await this.#finish(job, ended);
  }

  /** Runs the model and keeps how it ended; undefined when the job stays in the queue. */
  async #invoke(job: AsyncJob): Promise<AsyncOutcome | undefined> {
    const { folder, work } = this.#options;
    const timeout = new AbortController();
    const timer = setTimeout(() => {
      const message = `The invocation took longer than its InvocationTimeoutSeconds (${job.timeoutSeconds} s).`;
      timeout.abort(new EndpointError('deadline_exceeded', message));
    }, job.timeoutSeconds * 1000);
    const signal = AbortSignal.any([timeout.signal, this.#interrupt.signal]);
    const beganInCompany = this.#running > 1;
    try {
      const answer = await work.invoke(
        job,
        job.inputUri === undefined ? folder.bodyPath(job.jobId) : undefined,
        signal,
      );
      const outcome: AsyncOutcome = { ok: true, contentType: answer.contentType };
      await folder.settle(job.jobId, outcome, answer.content);
      await answer.release();
      return outcome;
    } catch (thrown) {
      // Whatever fails while the server goes down may have failed for that: the job is run again.
      if (this.#closing) return undefined;
      const error = asEndpointError(thrown);
      // Memory that the models of other jobs hold comes back.
      const hadCompany = beganInCompany || this.#running > 1;
      if (error.code === 'overloaded' || (error.code === 'insufficient_memory' && hadCompany)) {
        this.#later(job);
        return undefined;
      }
      if (error.code === 'internal') {
        this.#options.logger.error({ error: loggableError(thrown) }, 'an asynchronous job failed');
      }
      return await this.#settleError(job, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Puts a job that found no room back into the line. */
  #later(job: AsyncJob): void {
    const waitMs = this.#options.noRoomWaitMs ?? 1_000;
    const wait = sleep(waitMs, undefined, { signal: this.#interrupt.signal, ref: false });
    const back = wait.then(
      () => {
        if (this.#closing) return;
        this.#enqueue(job);
        this.#dispatch();
      },
      () => undefined,
    );
    this.#track(back);
  }

  async #fail(job: AsyncJob, error: EndpointError): Promise<void> {
    await this.#finish(job, await this.#settleError(job, error));
  }

  async #settleError(job: AsyncJob, error: EndpointError): Promise<AsyncOutcome> {
    const outcome: AsyncOutcome = { ok: false, error: { ...error.toJSON(), status: error.status } };
    await this.#options.folder.settle(job.jobId, outcome, {
      bytes: Buffer.from(JSON.stringify({ error: error.toJSON() })),
    });
    return outcome;
  }

  /** Writes the output, tells of it, forgets the job. */
  async #finish(job: AsyncJob, ended: AsyncOutcome): Promise<void> {
    const { folder, notifier, region, logger } = this.#options;
    const delivered = await this.#deliver(job, ended);
    if (!delivered) return;
    if (notifier) {
      const message = notificationOf(job, delivered, { region, nowMs: Date.now() });
      await notifier.notify(job.jobId, message, this.#interrupt.signal).catch((thrown: unknown) => {
        logger.warn({ error: loggableError(thrown) }, 'a notification was not taken');
      });
      // It may not have been heard: the next start tells it again.
      if (this.#interrupt.signal.aborted) return;
    }
    await folder.remove(job.jobId);
    this.#places.delete(job.outputUri);
  }

  /** Writes the output; where it can't be written, the error takes its place. Undefined: the server is going down. */
  async #deliver(job: AsyncJob, ended: AsyncOutcome): Promise<AsyncOutcome | undefined> {
    try {
      await this.#write(job, ended);
      return ended;
    } catch (thrown) {
      if (this.#closing) return undefined;
      this.#options.logger.error({ error: loggableError(thrown) }, 'an asynchronous output cannot be written');
      const error = asEndpointError(thrown);
      const failed = ended.ok ? await this.#settleError(job, error) : ended;
      if (ended.ok) {
        await this.#write(job, failed).catch((failure: unknown) => {
          this.#options.logger.error({ error: loggableError(failure) }, 'an asynchronous failure cannot be written');
        });
      }
      return this.#closing ? undefined : failed;
    }
  }

  async #write(job: AsyncJob, outcome: AsyncOutcome): Promise<void> {
    const { folder, work, deliveryWaitsMs = [1_000, 4_000, 15_000, 30_000] } = this.#options;
    const signal = this.#interrupt.signal;
    const [uri, type] = outcome.ok ? [job.outputUri, outcome.contentType] : [job.failureUri, 'application/json'];
    for (const waitMs of [...deliveryWaitsMs, undefined]) {
      try {
        await work.deliver(uri, folder.answerPath(job.jobId, outcome), type, signal);
        return;
      } catch (thrown) {
        if (waitMs === undefined || signal.aborted) throw thrown;
        await sleep(waitMs, undefined, { signal, ref: false });
      }
    }
  }
}
