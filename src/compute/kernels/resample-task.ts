import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import { type GridSamples, interpolateRow } from './resample-rows.ts';
import type { KernelArray } from './shared-arrays.ts';
import type { Slab } from './slabs.ts';

/** Rows of the output that are computed before they are written, so that whole cache lines are filled at once. */
const tileRows = 16;

export interface ResampleInput extends Slab {
  readonly source: StridedImage<VoxelArray>;
  readonly target: StridedImage<KernelArray>;
  readonly samples: GridSamples;
  /** The axis (y or z) that the slab cuts. */
  readonly slabAxis: 1 | 2;
}

/** Resamples the slab of every channel: separable, linear or nearest as the samples' weights say. */
export function resampleSlab(input: ResampleInput): void {
  const { source, target, samples, slabAxis, from, to } = input;
  const innerAxis = slabAxis === 1 ? 2 : 1;
  const nx = target.shape[0];
  const tile = new Float32Array(tileRows * nx);
  const blend = new Float64Array(source.shape[0]);
  for (let channel = 0; channel < target.channels; channel++) {
    for (let outer = from; outer < to; outer++) {
      for (let inner = 0; inner < target.shape[innerAxis]; inner += tileRows) {
        const rows = Math.min(tileRows, target.shape[innerAxis] - inner);
        for (let r = 0; r < rows; r++) {
          const [j, k] = slabAxis === 1 ? [outer, inner + r] : [inner + r, outer];
          interpolateRow(source, channel, samples, j, k, blend, tile, r * nx);
        }
        const start =
          target.offset +
          channel * target.channelStride +
          outer * target.strides[slabAxis] +
          inner * target.strides[innerAxis];
        writeTile(tile, rows, nx, target.data, start, target.strides[0], target.strides[innerAxis]);
      }
    }
  }
}

/** Writes rows of a tile so that the innermost loop runs along the target's shorter stride. */
export function writeTile(
  tile: Float32Array | Uint8Array | Uint16Array,
  rows: number,
  nx: number,
  data: KernelArray,
  start: number,
  stepX: number,
  stepRow: number,
): void {
  if (Math.abs(stepX) <= Math.abs(stepRow)) {
    for (let r = 0; r < rows; r++) {
      for (let i = 0, p = start + r * stepRow, t = r * nx; i < nx; i++, p += stepX) data[p] = tile[t + i] as number;
    }
    return;
  }
  for (let i = 0; i < nx; i++) {
    for (let r = 0, p = start + i * stepX, t = i; r < rows; r++, p += stepRow, t += nx) data[p] = tile[t] as number;
  }
}

export interface ResampleArgmaxInput extends Slab {
  readonly source: StridedImage<Float32Array>;
  /** One channel: the number of the source's channel with the largest value, the first of equals. */
  readonly target: StridedImage<Uint8Array | Uint16Array>;
  readonly samples: GridSamples;
  readonly slabAxis: 1 | 2;
}

/** Resamples all channels and keeps the largest one's number, without ever holding the resampled channels. */
export function resampleArgmaxSlab(input: ResampleArgmaxInput): void {
  const { source, target, samples, slabAxis, from, to } = input;
  const innerAxis = slabAxis === 1 ? 2 : 1;
  const nx = target.shape[0];
  const blend = new Float64Array(source.shape[0]);
  const best = new Float32Array(nx);
  const row = new Float32Array(nx);
  const labels = new Uint16Array(tileRows * nx);
  for (let outer = from; outer < to; outer++) {
    for (let inner = 0; inner < target.shape[innerAxis]; inner += tileRows) {
      const rows = Math.min(tileRows, target.shape[innerAxis] - inner);
      labels.fill(0);
      for (let r = 0; r < rows; r++) {
        const [j, k] = slabAxis === 1 ? [outer, inner + r] : [inner + r, outer];
        interpolateRow(source, 0, samples, j, k, blend, best, 0);
        for (let channel = 1; channel < source.channels; channel++) {
          interpolateRow(source, channel, samples, j, k, blend, row, 0);
          keepLargest(row, best, labels, r * nx, channel);
        }
      }
      const start = target.offset + outer * target.strides[slabAxis] + inner * target.strides[innerAxis];
      writeTile(labels, rows, nx, target.data, start, target.strides[0], target.strides[innerAxis]);
    }
  }
}

function keepLargest(row: Float32Array, best: Float32Array, labels: Uint16Array, start: number, channel: number): void {
  for (let i = 0; i < row.length; i++) {
    const value = row[i] as number;
    if (value > (best[i] as number)) {
      best[i] = value;
      labels[start + i] = channel;
    }
  }
}
