import type { StridedImage } from '../../imaging/strided-image.ts';
import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { Connectivity, ScanGrid } from './components.ts';
import type { FillHolesInput, KeepLargestInput, RemoveSmallInput } from './components-task.ts';
import type { KernelArray } from './shared-arrays.ts';

const module = './components-task.ts';
const keepTask = defineTask<KeepLargestInput, void>(import.meta.url, module, 'keepLargestComponents');
const removeTask = defineTask<RemoveSmallInput, void>(import.meta.url, module, 'removeSmallComponents');
const fillTask = defineTask<FillHolesInput, void>(import.meta.url, module, 'fillHoles');
const labelsTask = defineTask<Pick<FillHolesInput, 'data' | 'grid'>, number[]>(import.meta.url, module, 'labelsOf');

/** A channel of an image that is changed in place. */
export interface Channel {
  readonly image: StridedImage<KernelArray>;
  readonly channel: number;
  readonly connectivity: Connectivity;
}

type Options<T> = Omit<T, 'data' | 'grid' | 'connectivity'>;

/** Zeroes what does not belong to the largest components of a channel; see {@link KeepLargestInput}. */
export const keepLargestInPlace = (
  { image, channel, connectivity }: Channel,
  options: Options<KeepLargestInput>,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> =>
  pool.run(keepTask, { data: image.data, grid: gridOf(image, channel), connectivity, ...options }, signal);

/** Zeroes the small components of a channel. */
export const removeSmallInPlace = (
  { image, channel, connectivity }: Channel,
  options: Options<RemoveSmallInput>,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> =>
  pool.run(removeTask, { data: image.data, grid: gridOf(image, channel), connectivity, ...options }, signal);

/** Fills the holes of a label of a channel. */
export const fillHolesInPlace = (
  { image, channel, connectivity }: Channel,
  options: Options<FillHolesInput>,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> =>
  pool.run(fillTask, { data: image.data, grid: gridOf(image, channel), connectivity, ...options }, signal);

/** The labels of a channel, ascending, without 0. */
export const labelsIn = (
  image: StridedImage<KernelArray>,
  channel: number,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<number[]> => pool.run(labelsTask, { data: image.data, grid: gridOf(image, channel) }, signal);

const gridOf = ({ offset, channelStride, shape, strides }: StridedImage, channel: number): ScanGrid => ({
  offset: offset + channel * channelStride,
  shape,
  strides,
});
