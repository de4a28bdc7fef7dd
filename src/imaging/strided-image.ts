import type { Shape3, VoxelArray } from './volume.ts';

/** Axis of a grid: i, j or k. */
export type Axis = 0 | 1 | 2;

/**
 * Channels of one grid, seen through strides: voxel (i, j, k) of channel c is
 * `data[offset + c * channelStride + i * strides[0] + j * strides[1] + k * strides[2]]`.
 *
 * Flips and axis permutations change the strides alone, so reorienting a volume moves no voxel; kernels write in
 * whichever order the next step reads.
 */
export interface StridedImage<T extends VoxelArray = VoxelArray> {
  readonly data: T;
  readonly channels: number;
  readonly shape: Shape3;
  readonly offset: number;
  readonly strides: readonly [number, number, number];
  readonly channelStride: number;
}

/** Order of the axes in memory, fastest first, and which of them run backwards. */
export interface MemoryOrder {
  readonly fastestFirst: readonly [Axis, Axis, Axis];
  readonly reversed: readonly [boolean, boolean, boolean];
}

/** i fastest, as in {@link Volume}. */
export const xFastest: MemoryOrder = { fastestFirst: [0, 1, 2], reversed: [false, false, false] };

/** k fastest: the order of a network's tensor (N, C, X, Y, Z). */
export const zFastest: MemoryOrder = { fastestFirst: [2, 1, 0], reversed: [false, false, false] };

/** Lays channels of a shape over an array, one channel after another, in the given order. */
export function stridedOver<T extends VoxelArray>(
  data: T,
  channels: number,
  shape: Shape3,
  order: MemoryOrder,
): StridedImage<T> {
  const strides: [number, number, number] = [0, 0, 0];
  let step = 1;
  let offset = 0;
  for (const axis of order.fastestFirst) {
    strides[axis] = order.reversed[axis] ? -step : step;
    if (order.reversed[axis]) offset += step * (shape[axis] - 1);
    step *= shape[axis];
  }
  if (data.length !== step * channels)
    throw new RangeError(`${channels} × ${shape.join(' × ')} voxels over an array of ${data.length}.`);
  return { data, channels, shape, offset, strides, channelStride: step };
}

/** The order in memory that an image has (an axis of length 1 takes any place). */
export function memoryOrderOf(image: StridedImage): MemoryOrder {
  const axes = ([0, 1, 2] as const).toSorted(
    (a, b) => Math.abs(image.strides[a]) - Math.abs(image.strides[b]) || image.shape[a] - image.shape[b],
  );
  return {
    fastestFirst: axes as unknown as [Axis, Axis, Axis],
    reversed: [image.strides[0] < 0, image.strides[1] < 0, image.strides[2] < 0],
  };
}

/** True when both lay their voxels out in the same way. */
export function sameLayout(a: StridedImage, b: StridedImage): boolean {
  return ([0, 1, 2] as const).every(
    (axis) => a.shape[axis] === b.shape[axis] && (a.shape[axis] === 1 || a.strides[axis] === b.strides[axis]),
  );
}

/** Position in `data` of the first voxel in memory of a channel. */
export function channelStart(image: StridedImage, channel: number): number {
  let start = image.offset + channel * image.channelStride;
  for (const axis of [0, 1, 2] as const) start += Math.min(0, image.strides[axis] * (image.shape[axis] - 1));
  return start;
}

/** True when each channel fills one unbroken block, in any axis order: voxel-wise kernels then need no geometry. */
export function isDense(image: StridedImage): boolean {
  let step = 1;
  for (const axis of memoryOrderOf(image).fastestFirst) {
    if (image.shape[axis] === 1) continue;
    if (Math.abs(image.strides[axis]) !== step) return false;
    step *= image.shape[axis];
  }
  return true;
}

/** The same voxels with new axes: axis `n` of the result is axis `from[n].axis` of the image, backwards when flipped. */
export function reoriented<T extends VoxelArray>(
  image: StridedImage<T>,
  from: readonly [AxisSource, AxisSource, AxisSource],
): StridedImage<T> {
  let offset = image.offset;
  const shape: [number, number, number] = [0, 0, 0];
  const strides: [number, number, number] = [0, 0, 0];
  from.forEach(({ axis, flip }, n) => {
    shape[n as Axis] = image.shape[axis];
    strides[n as Axis] = flip ? -image.strides[axis] : image.strides[axis];
    if (flip) offset += image.strides[axis] * (image.shape[axis] - 1);
  });
  return { ...image, shape, strides, offset };
}

/** Where an axis of a reoriented image comes from. */
export interface AxisSource {
  readonly axis: Axis;
  readonly flip: boolean;
}

/** The box of an image that starts at `start` and has the shape `shape`, without copying. */
export function cropped<T extends VoxelArray>(
  image: StridedImage<T>,
  start: readonly [number, number, number],
  shape: Shape3,
): StridedImage<T> {
  const [sx, sy, sz] = image.strides;
  return { ...image, shape, offset: image.offset + start[0] * sx + start[1] * sy + start[2] * sz };
}
