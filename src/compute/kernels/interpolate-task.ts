import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { GridSamples } from './resample-rows.ts';
import type { KernelArray } from './shared-arrays.ts';
import type { Slab } from './slabs.ts';

export interface InterpolateInput extends Slab {
  readonly source: StridedImage<VoxelArray>;
  readonly target: StridedImage<KernelArray>;
  readonly samples: GridSamples;
}

/** Each voxel from the eight around its place: reads only what it needs, so that shrinking is cheap. Slabs along i. */
export function interpolateSlab({ source, target, samples, from, to }: InterpolateInput): void {
  const [sx, sy, sz] = source.strides;
  const [xs, ys, zs] = samples;
  const depth = target.shape[2];
  const low = Int32Array.from(zs.index0, (index) => index * sz);
  const high = Int32Array.from(zs.index1, (index) => index * sz);
  const { data } = source;
  const out = target.data;
  for (let channel = 0; channel < target.channels; channel++) {
    const first = source.offset + channel * source.channelStride;
    for (let i = from; i < to; i++) {
      const [x0, x1] = [first + (xs.index0[i] as number) * sx, first + (xs.index1[i] as number) * sx];
      const [wx0, wx1] = [xs.weight0[i] as number, xs.weight1[i] as number];
      for (let j = 0; j < target.shape[1]; j++) {
        const [y0, y1] = [(ys.index0[j] as number) * sy, (ys.index1[j] as number) * sy];
        const [a, b, c, d] = [x0 + y0, x0 + y1, x1 + y0, x1 + y1];
        const [wy0, wy1] = [ys.weight0[j] as number, ys.weight1[j] as number];
        const [wa, wb, wc, wd] = [wx0 * wy0, wx0 * wy1, wx1 * wy0, wx1 * wy1];
        let at = target.offset + channel * target.channelStride + i * target.strides[0] + j * target.strides[1];
        for (let k = 0; k < depth; k++, at += target.strides[2]) {
          const p = low[k] as number;
          const q = high[k] as number;
          const near =
            wa * (data[a + p] as number) +
            wb * (data[b + p] as number) +
            wc * (data[c + p] as number) +
            wd * (data[d + p] as number);
          const far =
            wa * (data[a + q] as number) +
            wb * (data[b + q] as number) +
            wc * (data[c + q] as number) +
            wd * (data[d + q] as number);
          out[at] = near * (zs.weight0[k] as number) + far * (zs.weight1[k] as number);
        }
      }
    }
  }
}
