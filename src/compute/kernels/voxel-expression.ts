import { channelStart, isDense, type StridedImage } from '../../imaging/strided-image.ts';
import { type VoxelArray, voxelCount } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { KernelArray } from './shared-arrays.ts';
import { runInSlabs } from './slabs.ts';
import type { VoxelExpression, VoxelExpressionInput } from './voxel-expression-task.ts';

const task = defineTask<VoxelExpressionInput, void>(
  import.meta.url,
  './voxel-expression-task.ts',
  'voxelExpressionSlab',
);

/** Computes each channel of `target`, which has the source's layout, from the source's channels by an expression. */
export async function evaluateVoxels(
  source: StridedImage<VoxelArray>,
  target: StridedImage<KernelArray>,
  expressions: readonly VoxelExpression[],
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  if (!isDense(source) || !isDense(target)) throw new RangeError('Voxel expressions need channels without gaps.');
  const startsOf = (image: StridedImage): number[] =>
    Array.from({ length: image.channels }, (_, channel) => channelStart(image, channel));
  const starts = { starts: startsOf(source), targetStarts: startsOf(target) };
  const input = { source: source.data, target: target.data, expressions, ...starts };
  await runInSlabs(pool, task, voxelCount(source.shape), input, signal);
}
