import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { AxisSamples } from './axis-samples.ts';

/** Samples of the three axes of a grid that stays parallel to its source: resampling is then separable. */
export type GridSamples = readonly [AxisSamples, AxisSamples, AxisSamples];

/**
 * Interpolates one output row along x: the up to four source rows around it are blended into `blend`, then sampled.
 * Sums in double precision, rounded once to float32 at the end, as MONAI with its default float64.
 *
 * @param blend - scratch of at least the source's length along x
 * @param row - result, float32 values
 */
export function interpolateRow(
  source: StridedImage<VoxelArray>,
  channel: number,
  samples: GridSamples,
  j: number,
  k: number,
  blend: Float64Array,
  row: Float32Array,
  rowStart: number,
): void {
  const [xs, ys, zs] = samples;
  const [, sy, sz] = source.strides;
  const base = source.offset + channel * source.channelStride;
  const y0 = base + (ys.index0[j] as number) * sy;
  const y1 = base + (ys.index1[j] as number) * sy;
  const z0 = (zs.index0[k] as number) * sz;
  const z1 = (zs.index1[k] as number) * sz;
  const wy0 = ys.weight0[j] as number;
  const wy1 = ys.weight1[j] as number;
  const wz0 = zs.weight0[k] as number;
  const wz1 = zs.weight1[k] as number;
  blendRows(source, [y0 + z0, y1 + z0, y0 + z1, y1 + z1], [wy0 * wz0, wy1 * wz0, wy0 * wz1, wy1 * wz1], blend);
  const { index0, index1, weight0, weight1 } = xs;
  const n = index0.length;
  for (let i = 0; i < n; i++) {
    row[rowStart + i] =
      (blend[index0[i] as number] as number) * (weight0[i] as number) +
      (blend[index1[i] as number] as number) * (weight1[i] as number);
  }
}

/** Weighted sum of four source rows; rows of weight 0 are not read. */
function blendRows(
  source: StridedImage<VoxelArray>,
  starts: readonly [number, number, number, number],
  weights: readonly [number, number, number, number],
  blend: Float64Array,
): void {
  const { data } = source;
  const step = source.strides[0];
  const n = source.shape[0];
  const [a, b, c, d] = starts;
  const [wa, wb, wc, wd] = weights;
  if (wb === 0 && wc === 0 && wd === 0) {
    for (let i = 0, p = a; i < n; i++, p += step) blend[i] = wa * (data[p] as number);
  } else if (wc === 0 && wd === 0) {
    for (let i = 0, p = a, q = b; i < n; i++, p += step, q += step)
      blend[i] = wa * (data[p] as number) + wb * (data[q] as number);
  } else if (wb === 0 && wd === 0) {
    for (let i = 0, p = a, q = c; i < n; i++, p += step, q += step)
      blend[i] = wa * (data[p] as number) + wc * (data[q] as number);
  } else {
    for (let i = 0, p = 0; i < n; i++, p += step)
      blend[i] =
        wa * (data[a + p] as number) +
        wb * (data[b + p] as number) +
        wc * (data[c + p] as number) +
        wd * (data[d + p] as number);
  }
}
