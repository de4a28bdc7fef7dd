import type { Affine } from '../../imaging/affine.ts';
import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { SampleModes } from './axis-samples.ts';
import type { ObliqueInput } from './resample-oblique-task.ts';
import type { KernelArray } from './shared-arrays.ts';
import { runInSlabs } from './slabs.ts';

const task = defineTask<ObliqueInput, void>(import.meta.url, './resample-oblique-task.ts', 'resampleObliqueSlab');

/** Fills `target` from `source` through any affine map; several times slower than the separable kernel. */
export async function resampleOblique(
  source: StridedImage<VoxelArray>,
  target: StridedImage<KernelArray>,
  grid: { readonly toSource: Affine; readonly modes: SampleModes },
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  await runInSlabs(pool, task, target.shape[2], { source, target, ...grid }, signal);
}
