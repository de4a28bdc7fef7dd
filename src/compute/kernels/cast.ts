import { channelStart, isDense, type StridedImage } from '../../imaging/strided-image.ts';
import { type VoxelArray, voxelCount } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { CastInput, CastKind } from './cast-task.ts';
import type { KernelArray } from './shared-arrays.ts';
import { runInSlabs } from './slabs.ts';

const task = defineTask<CastInput, void>(import.meta.url, './cast-task.ts', 'castSlab');

/** Values of every channel as another element type holds them; `target` has the source's layout and may be it. */
export async function castInto(
  source: StridedImage<VoxelArray>,
  target: StridedImage<KernelArray>,
  kind: CastKind,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  if (!isDense(source) || !isDense(target)) throw new RangeError('A cast needs channels without gaps.');
  const startsOf = (image: StridedImage): number[] =>
    Array.from({ length: image.channels }, (_, channel) => channelStart(image, channel));
  const starts = { starts: startsOf(source), targetStarts: startsOf(target) };
  const input = { source: source.data, target: target.data, kind, ...starts };
  await runInSlabs(pool, task, voxelCount(source.shape), input, signal);
}
