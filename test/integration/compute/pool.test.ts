import { afterEach, describe, expect, it } from 'vitest';
import { sampleAxis } from '../../../src/compute/kernels/axis-samples.ts';
import { resampleConfidentArgmax } from '../../../src/compute/kernels/confident-argmax.ts';
import { percentiles } from '../../../src/compute/kernels/order-statistics.ts';
import { rearrange } from '../../../src/compute/kernels/rearrange.ts';
import { resampleSeparable } from '../../../src/compute/kernels/resample.ts';
import { sharedImage } from '../../../src/compute/kernels/shared-arrays.ts';
import type { GatherInput } from '../../../src/compute/kernels/window-task.ts';
import { type ComputePool, InThreadPool, ThreadPool } from '../../../src/compute/pool.ts';
import { defineTask } from '../../../src/compute/task.ts';
import { EndpointError } from '../../../src/errors.ts';
import { xFastest, zFastest } from '../../../src/imaging/strided-image.ts';

const here = new URL('../../../src/compute/kernels/windows.ts', import.meta.url).href;
const gather = defineTask<GatherInput, void>(here, './window-task.ts', 'gatherWindow');
const missing = defineTask<object, void>(here, './window-task.ts', 'noSuchTask');

const image = sharedImage('float32', 2, [30, 21, 26], xFastest);
for (let n = 0; n < image.data.length; n++) image.data[n] = Math.sin(n / 37) + Math.cos(n / 501);
const input = (): GatherInput => ({
  image,
  start: [1, 2, 3],
  size: [4, 5, 6],
  target: new Float32Array(new SharedArrayBuffer(2 * 120 * 4)),
});

let open: ComputePool[] = [];
afterEach(async () => {
  await Promise.all(open.map((pool) => pool.close()));
  open = [];
});

describe.each([
  ['InThreadPool', () => new InThreadPool()],
  ['ThreadPool', () => new ThreadPool(3)],
])('%s keeps the contract of a pool', (_, make) => {
  const start = (): ComputePool => {
    const pool = make();
    open.push(pool);
    return pool;
  };

  it('runs tasks on shared memory, many at once', async () => {
    const pool = start();
    const inputs = Array.from({ length: 12 }, input);
    await Promise.all(inputs.map((one) => pool.run(gather, one)));
    for (const { target } of inputs) {
      expect(target[0]).toBe(image.data[1 + 30 * (2 + 21 * 3)]);
      expect(target).toEqual(inputs[0]?.target);
    }
  });

  it('fails a task that fails, and goes on', async () => {
    const pool = start();
    await expect(pool.run(missing, {})).rejects.toThrow();
    await expect(pool.run(gather, input())).resolves.toBeUndefined();
  });

  it('does not start what was cancelled before', async () => {
    const pool = start();
    const reason = new EndpointError('deadline_exceeded', 'too late');
    const one = input();
    await expect(pool.run(gather, one, AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(one.target.every((value) => value === 0)).toBe(true);
  });
});

it('ThreadPool refuses work once it is closed, and ends what waits', async () => {
  const pool = new ThreadPool(1);
  const waiting = Promise.allSettled(Array.from({ length: 5 }, () => pool.run(gather, input())));
  await pool.close();
  for (const result of (await waiting).slice(1)) expect(result.status).toBe('rejected');
  await expect(pool.run(gather, input())).rejects.toThrow(/closed/);
});

it('kernels give the same bits for any number of threads', async () => {
  const samples = ([0, 1, 2] as const).map((axis) =>
    sampleAxis(
      { scale: 0.7 + axis / 4, shift: -0.3, inputSize: image.shape[axis], outputSize: 33 },
      { interpolation: 'bilinear', edge: 'border', alignCorners: false },
    ),
  ) as unknown as Parameters<typeof resampleSeparable>[2];
  const results = [];
  for (const pool of [new InThreadPool(), ...[1, 2, 5].map((threads) => new ThreadPool(threads))]) {
    open.push(pool);
    const resampled = sharedImage('float32', 2, [33, 33, 33], zFastest);
    await resampleSeparable(image, resampled, samples, pool);
    const labels = sharedImage('uint8', 1, [33, 33, 33], xFastest);
    await resampleConfidentArgmax(image, labels, samples, pool);
    const copy = sharedImage('float32', 2, image.shape, zFastest);
    await rearrange(image, copy, pool);
    results.push([resampled.data, labels.data, copy.data, await percentiles(image, [0, 1], [2, 98], pool)]);
  }
  for (const result of results) expect(result).toEqual(results[0]);
});
