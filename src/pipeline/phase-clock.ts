import type { TimingsMs } from '../api/invocation.ts';

/** Phases that the pipeline itself measures. */
export type Phase = Exclude<keyof TimingsMs, 'queue' | 'load' | 'total'>;

/** Adds up how long each phase of a job took. The phases follow each other, so that they add up to the total. */
export class PhaseClock {
  readonly #spentMs: Record<Phase, number> = {
    fetch: 0,
    decode: 0,
    preprocess: 0,
    inference: 0,
    postprocess: 0,
    write: 0,
  };
  readonly #startedAt = performance.now();

  /** Runs something and counts its time to a phase, also when it fails. */
  async time<T>(phase: Phase, run: () => Promise<T> | T): Promise<T> {
    const start = performance.now();
    try {
      return await run();
    } finally {
      this.add(phase, performance.now() - start);
    }
  }

  add(phase: Phase, milliseconds: number): void {
    this.#spentMs[phase] += milliseconds;
  }

  /** The timings so far, in whole milliseconds; `total` counts what passed before as well. */
  timings(elapsed: { readonly queue: number; readonly load: number }): TimingsMs {
    const rounded = Object.fromEntries(
      Object.entries(this.#spentMs).map(([phase, milliseconds]) => [phase, Math.round(milliseconds)]),
    ) as Record<Phase, number>;
    const total = elapsed.queue + elapsed.load + (performance.now() - this.#startedAt);
    return { queue: Math.round(elapsed.queue), load: Math.round(elapsed.load), ...rounded, total: Math.round(total) };
  }
}
