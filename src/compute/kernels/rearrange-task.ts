import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { KernelArray } from './shared-arrays.ts';
import type { Slab } from './slabs.ts';

/** Side of the square blocks that a transposition works in: source and target lines both stay in cache. */
const block = 16;

export interface RearrangeInput extends Slab {
  readonly source: StridedImage<VoxelArray>;
  readonly target: StridedImage<KernelArray>;
  /** Axes of the loops, outermost first; the slab cuts the first. */
  readonly axes: readonly [0 | 1 | 2, 0 | 1 | 2, 0 | 1 | 2];
}

/** Copies voxels from one order in memory to another. */
export function rearrangeSlab({ source, target, axes, from, to }: RearrangeInput): void {
  const [outer, middle, inner] = axes;
  const rows = target.shape[middle];
  const length = target.shape[inner];
  // Rows that lie alike in both are copied as they are.
  const whole =
    source.strides[inner] === 1 && target.strides[inner] === 1 && source.data.constructor === target.data.constructor;
  for (let channel = 0; channel < target.channels; channel++) {
    for (let a = from; a < to; a++) {
      const sourceStart = source.offset + channel * source.channelStride + a * source.strides[outer];
      const targetStart = target.offset + channel * target.channelStride + a * target.strides[outer];
      if (whole) {
        for (let b = 0; b < rows; b++) {
          const at = sourceStart + b * source.strides[middle];
          target.data.set(source.data.subarray(at, at + length), targetStart + b * target.strides[middle]);
        }
        continue;
      }
      for (let b = 0; b < rows; b += block) {
        const bEnd = Math.min(rows, b + block);
        for (let c = 0; c < length; c += block) {
          copyBlock(source, target, sourceStart, targetStart, middle, inner, b, bEnd, c, Math.min(length, c + block));
        }
      }
    }
  }
}

function copyBlock(
  source: StridedImage<VoxelArray>,
  target: StridedImage<KernelArray>,
  sourceStart: number,
  targetStart: number,
  middle: 0 | 1 | 2,
  inner: 0 | 1 | 2,
  b0: number,
  b1: number,
  c0: number,
  c1: number,
): void {
  const from = source.data;
  const to = target.data;
  const sourceStep = source.strides[inner];
  const targetStep = target.strides[inner];
  for (let b = b0; b < b1; b++) {
    let p = sourceStart + b * source.strides[middle] + c0 * sourceStep;
    let q = targetStart + b * target.strides[middle] + c0 * targetStep;
    for (let c = c0; c < c1; c++, p += sourceStep, q += targetStep) to[q] = from[p] as number;
  }
}
