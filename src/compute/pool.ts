import { Worker } from 'node:worker_threads';
import { compiledUrl } from '../compiled-url.ts';
import { abortError, EndpointError, type ErrorBody, throwIfAborted } from '../errors.ts';
import type { TaskReference } from './task.ts';

/**
 * Runs CPU-bound tasks beside the event loop. Big data goes by `SharedArrayBuffer`, never by copy.
 * Two implementations, {@link ThreadPool} and {@link InThreadPool}, pass one contract suite.
 */
export interface ComputePool {
  /** How many tasks run at once; split work into about this many parts. */
  readonly threads: number;
  /** Runs a task; its input and output must be structured-cloneable. An aborted signal keeps a waiting task from starting. */
  run<I, O>(task: TaskReference<I, O>, input: I, signal?: AbortSignal): Promise<O>;
  close(): Promise<void>;
}

/** Runs tasks in the calling thread: for tests and tools where threads only cost. */
export class InThreadPool implements ComputePool {
  readonly threads = 1;

  async run<I, O>(task: TaskReference<I, O>, input: I, signal?: AbortSignal): Promise<O> {
    throwIfAborted(signal);
    const module = (await import(task.module)) as Record<string, (input: I) => O | Promise<O>>;
    return (module[task.name] as (input: I) => O | Promise<O>)(input);
  }

  async close(): Promise<void> {}
}

interface Job {
  readonly id: number;
  readonly task: TaskReference<never, unknown>;
  readonly input: unknown;
  readonly signal: AbortSignal | undefined;
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** What a thread answers. */
export type ThreadAnswer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | { readonly id: number; readonly ok: false; readonly error: ErrorBody };

/** A fixed number of worker threads, started on first use, each with one task at a time. */
export class ThreadPool implements ComputePool {
  readonly threads: number;
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, Job>();
  readonly #waiting: Job[] = [];
  #closed = false;
  #nextId = 0;

  constructor(threads: number) {
    this.threads = threads;
  }

  /** Tasks that run or wait. */
  get unfinished(): number {
    return this.#busy.size + this.#waiting.length;
  }

  run<I, O>(task: TaskReference<I, O>, input: I, signal?: AbortSignal): Promise<O> {
    return new Promise<O>((resolve, reject) => {
      if (this.#closed) {
        reject(new EndpointError('internal', 'The thread pool is closed.'));
        return;
      }
      this.#waiting.push({
        id: this.#nextId++,
        task: task as TaskReference<never, unknown>,
        input,
        signal,
        resolve: resolve as (value: never) => void,
        reject,
      });
      this.#dispatch();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const error = new EndpointError('internal', 'The thread pool was closed.');
    for (const job of this.#waiting.splice(0)) job.reject(error);
    const workers = [...this.#idle.splice(0), ...this.#busy.keys()];
    await Promise.all(workers.map((worker) => worker.terminate()));
  }

  #dispatch(): void {
    while (this.#waiting.length > 0 && this.#busy.size < this.threads) {
      const job = this.#waiting.shift() as Job;
      if (job.signal?.aborted) {
        job.reject(abortError(job.signal));
        continue;
      }
      const worker = this.#idle.pop() ?? this.#spawn();
      this.#busy.set(worker, job);
      worker.ref();
      worker.postMessage({ id: job.id, module: job.task.module, name: job.task.name, input: job.input });
    }
  }

  #spawn(): Worker {
    const worker = new Worker(compiledUrl(import.meta.url, './thread-entry.ts'));
    worker.on('message', (answer: ThreadAnswer) => {
      const job = this.#busy.get(worker);
      this.#busy.delete(worker);
      worker.unref();
      this.#idle.push(worker);
      if (answer.ok) job?.resolve(answer.value as never);
      else job?.reject(EndpointError.fromBody(answer.error));
      this.#dispatch();
    });
    worker.on('error', (error) => this.#lost(worker, error));
    worker.on('exit', () => this.#lost(worker, undefined));
    return worker;
  }

  /** A thread ended (out of memory, a trap): its task fails, the next one gets a new thread. */
  #lost(worker: Worker, cause: unknown): void {
    const idleAt = this.#idle.indexOf(worker);
    if (idleAt >= 0) this.#idle.splice(idleAt, 1);
    const job = this.#busy.get(worker);
    if (!job) return;
    this.#busy.delete(worker);
    job.reject(
      new EndpointError('worker_crashed', 'A compute thread ended while it worked on this request.', { cause }),
    );
    this.#dispatch();
  }
}
