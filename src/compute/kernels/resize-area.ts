import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { ResizeAreaInput } from './resize-area-task.ts';
import { runInSlabs } from './slabs.ts';

const task = defineTask<ResizeAreaInput, void>(import.meta.url, './resize-area-task.ts', 'resizeAreaSlab');

/** Resizes to the target's shape; each of its voxels is the mean of those that it covers. */
export async function resizeArea(
  source: StridedImage<VoxelArray>,
  target: StridedImage<Float32Array>,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  await runInSlabs(pool, task, target.shape[0], { source, target }, signal);
}
