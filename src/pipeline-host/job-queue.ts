/** What stands in a line: of which model it is, and for how many requests it stands. */
export interface QueuedJob {
  readonly modelName: string;
  /** Requests of the job; they may change while it waits. */
  readonly requests: number;
}

/**
 * Jobs that wait for a pipeline process: first come, first served within a model, turn by turn between models, so that
 * one model's burst does not starve the others.
 */
export class JobQueue<T extends QueuedJob> {
  readonly #byModel = new Map<string, T[]>();

  /** Requests that wait. */
  get size(): number {
    let size = 0;
    for (const modelName of this.#byModel.keys()) size += this.sizeOf(modelName);
    return size;
  }

  /** Requests of one model that wait. */
  sizeOf(modelName: string): number {
    return this.jobsOf(modelName).reduce((sum, job) => sum + job.requests, 0);
  }

  /** Models that have jobs waiting, next turn first. */
  get modelNames(): string[] {
    return [...this.#byModel.keys()];
  }

  jobsOf(modelName: string): readonly T[] {
    return this.#byModel.get(modelName) ?? [];
  }

  push(job: T): void {
    const queue = this.#byModel.get(job.modelName);
    if (queue) queue.push(job);
    else this.#byModel.set(job.modelName, [job]);
  }

  /** The first job of the first model in turn for which `mayRun` holds. It stays in the line until it is taken. */
  next(mayRun: (job: T) => boolean): T | undefined {
    for (const [first] of this.#byModel.values()) if (first && mayRun(first)) return first;
    return undefined;
  }

  /** Takes a job that gets its turn: its model goes to the end of the line. */
  take(job: T): void {
    if (!this.remove(job)) return;
    const rest = this.#byModel.get(job.modelName);
    if (!rest) return;
    this.#byModel.delete(job.modelName);
    this.#byModel.set(job.modelName, rest);
  }

  /** Takes a job out of the line; false when it no longer waits. */
  remove(job: T): boolean {
    const queue = this.#byModel.get(job.modelName);
    const at = queue?.indexOf(job) ?? -1;
    if (!queue || at < 0) return false;
    queue.splice(at, 1);
    if (queue.length === 0) this.#byModel.delete(job.modelName);
    return true;
  }
}
