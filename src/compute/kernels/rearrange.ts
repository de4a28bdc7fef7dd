import { memoryOrderOf, type StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { RearrangeInput } from './rearrange-task.ts';
import type { KernelArray } from './shared-arrays.ts';
import { runInSlabs } from './slabs.ts';

const task = defineTask<RearrangeInput, void>(import.meta.url, './rearrange-task.ts', 'rearrangeSlab');

/** Copies all voxels into `target`, whatever the two orders in memory; both in shared memory and of one shape. */
export async function rearrange(
  source: StridedImage<VoxelArray>,
  target: StridedImage<KernelArray>,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const [inner, second, third] = memoryOrderOf(target).fastestFirst;
  const sourceFastest = memoryOrderOf(source).fastestFirst[0];
  // The block loops run over the axes that are fastest in target and source; the slab cuts the remaining one.
  const middle = sourceFastest === inner ? second : sourceFastest;
  const outer = middle === second ? third : second;
  await runInSlabs(pool, task, target.shape[outer], { source, target, axes: [outer, middle, inner] as const }, signal);
}
