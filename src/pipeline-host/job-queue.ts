/**
 * Jobs that wait for a pipeline process: first come, first served within a model, turn by turn between models, so that
 * one model's burst does not starve the others.
 */
export class JobQueue<T extends { readonly modelName: string }> {
  readonly #byModel = new Map<string, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(job: T): void {
    const queue = this.#byModel.get(job.modelName);
    if (queue) queue.push(job);
    else this.#byModel.set(job.modelName, [job]);
    this.#size++;
  }

  /** Takes the next job; its model goes to the end of the line. */
  shift(): T | undefined {
    const first = this.#byModel.entries().next();
    if (first.done) return undefined;
    const [modelName, queue] = first.value;
    const job = queue.shift() as T;
    this.#byModel.delete(modelName);
    if (queue.length > 0) this.#byModel.set(modelName, queue);
    this.#size--;
    return job;
  }

  /** Takes a job out of the line; false when it no longer waits. */
  remove(job: T): boolean {
    const queue = this.#byModel.get(job.modelName);
    const at = queue?.indexOf(job) ?? -1;
    if (!queue || at < 0) return false;
    queue.splice(at, 1);
    if (queue.length === 0) this.#byModel.delete(job.modelName);
    this.#size--;
    return true;
  }
}
