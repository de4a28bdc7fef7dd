import type { StridedImage } from '../../imaging/strided-image.ts';
import type { Shape3 } from '../../imaging/volume.ts';
import type { Point } from '../points.ts';

/**
 * Draws points into a channel that is zero: 1 at each voxel that is one, or with weights, what a Gaussian filter with
 * zeros around the image makes of these ones.
 *
 * @param points - whole voxels of the image; one that is there twice counts once
 * @param weights - of the filter along each axis that the image has
 */
export function drawPoints(
  image: StridedImage<Float32Array>,
  channel: number,
  points: readonly Point[],
  weights: readonly [Float64Array, Float64Array, Float64Array],
): void {
  const { data, shape, strides } = image;
  const origin = image.offset + channel * image.channelStride;
  for (const point of distinct(points)) {
    const [x, y, z] = ([0, 1, 2] as const).map((axis) => reach(shape, point, axis, weights[axis])) as [
      Reach,
      Reach,
      Reach,
    ];
    for (let k = z.from; k < z.to; k++) {
      for (let j = y.from; j < y.to; j++) {
        const rest = (z.weights[k - z.start] as number) * (y.weights[j - y.start] as number);
        const row = origin + k * strides[2] + j * strides[1];
        for (let i = x.from; i < x.to; i++) {
          const at = row + i * strides[0];
          data[at] = (data[at] as number) + rest * (x.weights[i - x.start] as number);
        }
      }
    }
  }
}

/** The filter that leaves an axis as it is. */
export const noWeights: Float64Array = Float64Array.of(1);

interface Reach {
  /** The voxel that the first weight belongs to; may lie before the image. */
  readonly start: number;
  /** The voxels of the image that the weights reach. */
  readonly from: number;
  readonly to: number;
  readonly weights: Float64Array;
}

function reach(shape: Shape3, point: Point, axis: 0 | 1 | 2, weights: Float64Array): Reach {
  const start = point[axis] - (weights.length - 1) / 2;
  return { start, from: Math.max(0, start), to: Math.min(shape[axis], start + weights.length), weights };
}

const distinct = (points: readonly Point[]): Point[] => [
  ...new Map(points.map((point) => [point.join(), point])).values(),
];
