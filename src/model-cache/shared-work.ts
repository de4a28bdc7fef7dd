import { abortError } from '../errors.ts';

interface Work<T> {
  readonly result: Promise<T>;
  readonly controller: AbortController;
  waiters: number;
}

/** Work that concurrent callers share: one load, however many requests wait for it. */
export class SharedWork<T> {
  readonly #running = new Map<string, Work<T>>();
  /** Cancelled work that has not ended yet: the next one on its key waits, so that they never run at once. */
  readonly #ending = new Map<string, Promise<void>>();

  /**
   * Joins the work under a key, or starts it. A caller whose signal aborts leaves alone; the work is cancelled when
   * nobody waits for it any more.
   */
  async join(key: string, signal: AbortSignal, start: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (signal.aborted) throw abortError(signal);
    const work = this.#running.get(key) ?? this.#begin(key, start);
    work.waiters++;
    return await new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        work.waiters--;
        const error = abortError(signal);
        reject(error);
        if (work.waiters > 0) return;
        // The next caller starts anew: it must not be given the cancellation of others.
        if (this.#running.get(key) === work) this.#cancel(key, work);
        work.controller.abort(error);
      };
      signal.addEventListener('abort', leave, { once: true });
      const settled = (): void => signal.removeEventListener('abort', leave);
      work.result.then(
        (value) => {
          settled();
          resolve(value);
        },
        (error: unknown) => {
          settled();
          reject(error);
        },
      );
    });
  }

  #begin(key: string, start: (signal: AbortSignal) => Promise<T>): Work<T> {
    const controller = new AbortController();
    const ending = this.#ending.get(key);
    const result = ending ? ending.then(() => start(controller.signal)) : start(controller.signal);
    const work: Work<T> = { result, controller, waiters: 0 };
    const ended = (): void => {
      if (this.#running.get(key) === work) this.#running.delete(key);
    };
    work.result.then(ended, ended);
    this.#running.set(key, work);
    return work;
  }

  #cancel(key: string, work: Work<T>): void {
    this.#running.delete(key);
    const ended = (): void => {
      if (this.#ending.get(key) === ending) this.#ending.delete(key);
    };
    const ending: Promise<void> = work.result.then(ended, ended);
    this.#ending.set(key, ending);
  }
}
