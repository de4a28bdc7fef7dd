import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { InterpolateInput } from './interpolate-task.ts';
import type { GridSamples } from './resample-rows.ts';
import type { KernelArray } from './shared-arrays.ts';
import { runInSlabs } from './slabs.ts';

const task = defineTask<InterpolateInput, void>(import.meta.url, './interpolate-task.ts', 'interpolateSlab');

/** Resizes to the target's shape by the samples of each axis; best where the target is not much larger. */
export async function interpolate(
  source: StridedImage<VoxelArray>,
  target: StridedImage<KernelArray>,
  samples: GridSamples,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  await runInSlabs(pool, task, target.shape[0], { source, target, samples }, signal);
}
