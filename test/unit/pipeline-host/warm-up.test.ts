import { expect, it } from 'vitest';
import { type ComputePool, InThreadPool } from '../../../src/compute/pool.ts';
import { warmUp } from '../../../src/pipeline-host/warm-up.ts';

/** Two threads that really do the tasks, one after another, and count them. */
function countingPool(onTask: (count: number) => void): ComputePool {
  const own = new InThreadPool();
  let count = 0;
  return {
    threads: 2,
    run: async (task, input, signal) => {
      onTask(++count);
      return await own.run(task, input, signal);
    },
    close: () => own.close(),
  };
}

it('has every thread decode, several times', async () => {
  let tasks = 0;
  await warmUp(
    countingPool((count) => {
      tasks = count;
    }),
    new AbortController().signal,
  );
  expect(tasks).toBeGreaterThanOrEqual(8);
  expect(tasks % 2).toBe(0);
});

it('stops when a job has come', async () => {
  const wanted = new AbortController();
  let tasks = 0;
  const stopped = warmUp(
    countingPool((count) => {
      tasks = count;
      if (count === 4) wanted.abort();
    }),
    wanted.signal,
  );
  await stopped.catch(() => undefined);
  expect(tasks).toBe(4);
});
