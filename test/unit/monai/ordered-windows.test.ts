import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { runOrdered, type WindowWork } from '../../../src/monai/inferers/ordered-windows.ts';

const never = new AbortController().signal;
const later = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Work that records what happens; window n answers after `delays[n]`. */
function recorded(delays: readonly number[], concurrency: number, overrides: Partial<WindowWork<number>> = {}) {
  const log = { taken: [] as number[], running: 0, most: 0, prepared: [] as number[], started: [] as number[] };
  const work: WindowWork<number> = {
    count: delays.length,
    concurrency,
    prepare: async (index) => void log.prepared.push(index),
    run: async (index) => {
      log.started.push(index);
      log.most = Math.max(log.most, ++log.running);
      await later(delays[index] as number);
      log.running--;
      return index * 10;
    },
    take: async (index, answer) => {
      expect(answer).toBe(index * 10);
      log.taken.push(index);
    },
    ...overrides,
  };
  return { work, log };
}

describe('runOrdered', () => {
  it.each([1, 2, 4])('takes answers in order with %i at once, however late each comes', async (concurrency) => {
    const delays = [20, 1, 15, 1, 1, 10, 3, 1, 1, 8];
    const { work, log } = recorded(delays, concurrency);
    await runOrdered(work, never);
    expect(log.taken).toEqual(delays.map((_, n) => n));
    expect(log.most).toBe(concurrency);
  });

  it('prepares one window more than run at once, and no further ahead', async () => {
    const { work, log } = recorded([30, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], 2);
    const done = runOrdered(work, never);
    await later(5);
    expect(log.prepared.slice(0, 3)).toEqual([0, 1, 2]);
    await later(10);
    // Window 0 is slow: the others wait after a few, so that answers don't pile up.
    expect(log.prepared.length).toBeLessThanOrEqual(7);
    await done;
    expect(log.taken).toHaveLength(12);
  });

  it('starts windows in their order, whichever is ready first', async () => {
    const { work, log } = recorded([5, 5, 5, 5, 5, 5], 2);
    const prepare = (index: number) => later(index % 2 === 0 ? 15 : 1).then(() => undefined);
    await runOrdered({ ...work, prepare }, never);
    expect(log.started).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('starts nothing after the signal, and ends with its reason when the running ones have ended', async () => {
    const reason = new EndpointError('deadline_exceeded', 'too late');
    const controller = new AbortController();
    const { work, log } = recorded([10, 10, 10, 10, 10, 10], 2);
    const done = runOrdered(work, controller.signal);
    setTimeout(() => controller.abort(reason), 12);
    await expect(done).rejects.toBe(reason);
    expect(log.running).toBe(0);
    expect(log.started.length).toBeLessThanOrEqual(4);
  });

  it('runs nothing when the signal has come before', async () => {
    const { work, log } = recorded([1, 1], 2);
    await expect(runOrdered(work, AbortSignal.abort(new EndpointError('deadline_exceeded', 'x')))).rejects.toThrow('x');
    expect(log.started).toEqual([]);
  });

  it.each(['prepare', 'run', 'take'] as const)(
    'fails with the first failure of %s and stops the rest',
    async (step) => {
      const failure = new EndpointError('model_failed', `failed in ${step}`);
      let stopped: AbortSignal | undefined;
      const fails = async (index: number, _: unknown, signal?: AbortSignal): Promise<never> => {
        stopped = signal;
        if (index === 2) throw failure;
        return (index * 10) as never;
      };
      const { work } = recorded([1, 1, 1, 1, 1, 1, 1, 1], 2, { [step]: fails });
      await expect(runOrdered(work, never)).rejects.toBe(failure);
      if (step === 'run') expect(stopped?.aborted).toBe(true);
    },
  );
});
