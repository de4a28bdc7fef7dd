import { abortError, throwIfAborted } from '../../errors.ts';

/** Work on numbered windows: `run` started in order and several at once, `take` in order and one at a time. */
export interface WindowWork<A> {
  readonly count: number;
  /** How many may run at once. One more is prepared, so that the next can start the moment that one ends. */
  readonly concurrency: number;
  /** Makes ready what a window needs, in the lane's own buffer. */
  prepare(index: number, lane: number): Promise<void>;
  run(index: number, lane: number, signal: AbortSignal): Promise<A>;
  take(index: number, answer: A): Promise<void>;
}

/**
 * Runs all windows. Answers are taken in the order of the windows, whatever order they come in, so that sums are the
 * same for any number of workers. On the first failure or when the signal aborts, nothing new starts; it rejects when
 * all that was running has ended.
 */
export async function runOrdered<A>(work: WindowWork<A>, signal: AbortSignal): Promise<void> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const lanes = Math.min(work.count, work.concurrency + 1);
  const permits = new Permits(work.concurrency);
  const answers = new Map<number, A>();
  let next = 0;
  let taken = 0;
  let lastStarted = Promise.resolve();
  let taking: Promise<void> | undefined;
  let wake: () => void = () => {};
  let advanced = new Promise<void>((resolve) => {
    wake = resolve;
  });

  const drain = async (): Promise<void> => {
    // Lets the lane that waited for its turn send its window first.
    await new Promise(setImmediate);
    for (let answer = answers.get(taken); answer !== undefined; answer = answers.get(taken)) {
      answers.delete(taken);
      await work.take(taken, answer);
      taken++;
      wake();
      advanced = new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };

  const lane = async (number: number): Promise<void> => {
    for (;;) {
      // A window that is run again after a crash must not let the others pile up.
      while (next < work.count && next - taken >= 2 * lanes && !both.aborted) await advanced;
      if (next >= work.count) return;
      if (both.aborted) throw abortError(both);
      const index = next++;
      const before = lastStarted;
      let started: () => void = () => {};
      lastStarted = new Promise<void>((resolve) => {
        started = resolve;
      });
      let answer: A;
      try {
        await work.prepare(index, number);
        // In their order, so that the first that is missing is always among those that run.
        await before;
        answer = await permits.hold(() => {
          started();
          throwIfAborted(both);
          return work.run(index, number, both);
        });
      } finally {
        started();
      }
      answers.set(index, answer);
      taking = (taking ?? Promise.resolve()).then(drain);
      taking.catch(() => stop.abort());
    }
  };

  both.addEventListener('abort', () => wake(), { once: true });
  const guarded = Array.from({ length: lanes }, async (_, number) => {
    try {
      await lane(number);
    } catch (thrown) {
      stop.abort(thrown);
      throw thrown;
    }
  });
  const ended = await Promise.allSettled(guarded);
  await taking;
  throwIfAborted(signal);
  const failed = ended.find((result) => result.status === 'rejected' && result.reason === stop.signal.reason);
  if (failed?.status === 'rejected') throw failed.reason;
}

/** A number of places; who finds none waits in line. */
class Permits {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async hold<T>(use: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await use();
    } finally {
      const waiter = this.#waiting.shift();
      if (waiter) waiter();
      else this.#free++;
    }
  }
}
