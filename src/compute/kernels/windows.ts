import { type StridedImage, zFastest } from '../../imaging/strided-image.ts';
import type { Shape3 } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import { sharedImage } from './shared-arrays.ts';
import { runInSlabs } from './slabs.ts';
import {
  type AccumulateInput,
  accumulateWindow,
  type DivideInput,
  type GatherInput,
  type SumWeightsInput,
} from './window-task.ts';

const module = './window-task.ts';
const gatherTask = defineTask<GatherInput, void>(import.meta.url, module, 'gatherWindow');
const accumulateTask = defineTask<AccumulateInput, void>(import.meta.url, module, 'accumulateWindow');
const sumWeightsTask = defineTask<SumWeightsInput, void>(import.meta.url, module, 'sumWeights');
const divideTask = defineTask<DivideInput, boolean>(import.meta.url, module, 'divideByWeights');

/** Most voxels that are added in one go in the calling thread: about a millisecond. */
const inlineVoxels = 500_000;

/** Copies a window into a network's input, off the event loop. */
export const gather = (input: GatherInput, pool: ComputePool, signal?: AbortSignal): Promise<void> =>
  pool.run(gatherTask, input, signal);

/**
 * Adds a network's answer to the running sums. An answer in shared memory is added by a thread; any other in the calling
 * thread, a few channels at a time, since copying it over would cost as much.
 */
export async function accumulate(
  input: Omit<AccumulateInput, 'channels'>,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const count = input.sums.channels;
  if (input.values.buffer instanceof SharedArrayBuffer) {
    await pool.run(accumulateTask, { ...input, channels: { from: 0, to: count } }, signal);
    return;
  }
  const step = Math.max(1, Math.floor(inlineVoxels / (input.values.length / count)));
  for (let from = 0; from < count; from += step) {
    if (from > 0) await new Promise(setImmediate);
    accumulateWindow({ ...input, channels: { from, to: Math.min(count, from + step) } });
  }
}

/** Divides the sums by the weights in place; false when a result is not a number. */
export async function divide(
  input: Omit<DivideInput, 'from' | 'to'> & { readonly sums: StridedImage<Float32Array> },
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<boolean> {
  return (await runInSlabs(pool, divideTask, input.sums.shape[0], input, signal)).every(Boolean);
}

/** Sum of the windows' weights at each voxel, z fastest. */
export async function sumWeights(
  starts: SumWeightsInput['starts'],
  size: SumWeightsInput['size'],
  shape: Shape3,
  weights: Float32Array,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const sums = sharedImage('float32', 1, shape, zFastest);
  await pool.run(sumWeightsTask, { starts, size, weights, sums }, signal);
  return sums.data;
}
