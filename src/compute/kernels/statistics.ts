import { channelStart, isDense, type StridedImage } from '../../imaging/strided-image.ts';
import { voxelCount } from '../../imaging/volume.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import { runInSlabs } from './slabs.ts';
import type { DeviationInput, SlabStatistics, StatisticsInput } from './statistics-task.ts';

const statisticsTask = defineTask<StatisticsInput, SlabStatistics>(
  import.meta.url,
  './statistics-task.ts',
  'statisticsSlab',
);
const deviationTask = defineTask<DeviationInput, number>(import.meta.url, './statistics-task.ts', 'deviationSlab');

/** Which voxels are counted. */
export interface Counted {
  readonly channels: readonly number[];
  readonly onlyNonzero?: boolean;
}

/** Count, mean and range over some channels together; the mean of nothing is NaN. */
export async function statistics(
  image: StridedImage,
  { channels, onlyNonzero = false }: Counted,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<{ count: number; mean: number; min: number; max: number }> {
  const parts: SlabStatistics[] = [];
  for (const channel of channels) {
    const input = { ...channelOf(image, channel), onlyNonzero };
    parts.push(...(await runInSlabs(pool, statisticsTask, voxelCount(image.shape), input, signal)));
  }
  const count = parts.reduce((total, part) => total + part.count, 0);
  return {
    count,
    mean: parts.reduce((total, part) => total + part.sum, 0) / count,
    min: Math.min(...parts.map((part) => part.min)),
    max: Math.max(...parts.map((part) => part.max)),
  };
}

/** Standard deviation (of the whole population) around a mean, over some channels together. */
export async function standardDeviation(
  image: StridedImage,
  { channels, onlyNonzero = false }: Counted,
  { count, mean }: { readonly count: number; readonly mean: number },
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<number> {
  let sum = 0;
  for (const channel of channels) {
    const input = { ...channelOf(image, channel), onlyNonzero, mean };
    for (const part of await runInSlabs(pool, deviationTask, voxelCount(image.shape), input, signal)) sum += part;
  }
  return Math.sqrt(sum / count);
}

function channelOf(image: StridedImage, channel: number): Pick<StatisticsInput, 'data' | 'start'> {
  if (!isDense(image)) throw new RangeError('Statistics need channels without gaps.');
  return { data: image.data as StatisticsInput['data'], start: channelStart(image, channel) };
}
