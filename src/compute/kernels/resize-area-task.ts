import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { Slab } from './slabs.ts';

export interface ResizeAreaInput extends Slab {
  readonly source: StridedImage<VoxelArray>;
  readonly target: StridedImage<Float32Array>;
}

/** Each voxel becomes the mean of the box of voxels under it (torch `adaptive_avg_pool`); slabs along the first axis. */
export function resizeAreaSlab({ source, target, from, to }: ResizeAreaInput): void {
  const { data, strides } = source;
  const edges = ([0, 1, 2] as const).map((axis) => boxes(source.shape[axis], target.shape[axis])) as [
    Int32Array,
    Int32Array,
    Int32Array,
  ];
  const [ex, ey, ez] = edges;
  for (let channel = 0; channel < target.channels; channel++) {
    const first = source.offset + channel * source.channelStride;
    const out = target.offset + channel * target.channelStride;
    for (let x = from; x < to; x++) {
      const [x0, x1] = [ex[2 * x] as number, ex[2 * x + 1] as number];
      for (let y = 0; y < target.shape[1]; y++) {
        const [y0, y1] = [ey[2 * y] as number, ey[2 * y + 1] as number];
        for (let z = 0; z < target.shape[2]; z++) {
          const [z0, z1] = [ez[2 * z] as number, ez[2 * z + 1] as number];
          let sum = 0;
          for (let i = x0; i < x1; i++) {
            for (let j = y0; j < y1; j++) {
              let at = first + i * strides[0] + j * strides[1] + z0 * strides[2];
              for (let k = z0; k < z1; k++, at += strides[2]) sum += data[at] as number;
            }
          }
          target.data[out + x * target.strides[0] + y * target.strides[1] + z * target.strides[2]] =
            sum / ((x1 - x0) * (y1 - y0) * (z1 - z0));
        }
      }
    }
  }
}

/** First and behind-last input index under each output index. */
function boxes(size: number, outSize: number): Int32Array {
  return Int32Array.from({ length: 2 * outSize }, (_, n) =>
    n % 2 === 0 ? Math.floor(((n / 2) * size) / outSize) : Math.ceil((((n + 1) / 2) * size) / outSize),
  );
}
