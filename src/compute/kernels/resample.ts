import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import { type GridSamples, rowAxesFor } from './resample-rows.ts';
import type { ResampleArgmaxInput, ResampleInput } from './resample-task.ts';
import type { KernelArray } from './shared-arrays.ts';
import { runInSlabs } from './slabs.ts';

const resampleTask = defineTask<ResampleInput, void>(import.meta.url, './resample-task.ts', 'resampleSlab');
const argmaxTask = defineTask<ResampleArgmaxInput, void>(import.meta.url, './resample-task.ts', 'resampleArgmaxSlab');

/** Fills `target` from `source`; both in shared memory. `samples` say where each output index of an axis reads. */
export async function resampleSeparable(
  source: StridedImage<VoxelArray>,
  target: StridedImage<KernelArray>,
  samples: GridSamples,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const axes = rowAxesFor(source, target);
  await runInSlabs(pool, resampleTask, target.shape[axes.outer], { source, target, samples, axes }, signal);
}

/** As {@link resampleSeparable}, followed by an argmax over the channels, in one pass and without the channels in memory. */
export async function resampleArgmax(
  source: StridedImage<Float32Array>,
  target: StridedImage<Uint8Array | Uint16Array>,
  samples: GridSamples,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const axes = rowAxesFor(source, target);
  await runInSlabs(pool, argmaxTask, target.shape[axes.outer], { source, target, samples, axes }, signal);
}
