import type { StridedImage } from '../../imaging/strided-image.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { BoundingBoxInput, Extent, Selection } from './bounding-box-task.ts';
import { runInSlabs } from './slabs.ts';

const task = defineTask<BoundingBoxInput, Extent | undefined>(
  import.meta.url,
  './bounding-box-task.ts',
  'boundingBoxSlab',
);

/** Extent of the voxels that are selected in any of the channels; nothing when none is. */
export async function selectedExtent(
  image: StridedImage,
  channels: readonly number[],
  selection: Selection,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<Extent | undefined> {
  const parts = await runInSlabs(pool, task, image.shape[2], { image, channels, selection }, signal);
  const found = parts.filter((part) => part !== undefined);
  if (found.length === 0) return undefined;
  const of = (pick: (part: Extent, axis: 0 | 1 | 2) => number, reduce: (...values: number[]) => number) =>
    ([0, 1, 2] as const).map((axis) => reduce(...found.map((part) => pick(part, axis)))) as unknown as Extent['first'];
  return { first: of((part, axis) => part.first[axis], Math.min), last: of((part, axis) => part.last[axis], Math.max) };
}
