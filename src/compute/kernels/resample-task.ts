import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import { type GridSamples, type RowAxes, RowSampler } from './resample-rows.ts';
import type { KernelArray } from './shared-arrays.ts';
import type { Slab } from './slabs.ts';

/** Rows of the output that are computed before they are written, so that whole cache lines are filled at once. */
const tileRows = 16;

export interface ResampleInput extends Slab {
  readonly source: StridedImage<VoxelArray>;
  readonly target: StridedImage<KernelArray>;
  readonly samples: GridSamples;
  /** The slab cuts the outer one. */
  readonly axes: RowAxes;
}

/** Resamples the slab of every channel: separable, linear or nearest as the samples' weights say. */
export function resampleSlab(input: ResampleInput): void {
  const { source, target, samples, axes, from, to } = input;
  const { row: rowAxis, inner: innerAxis, outer: outerAxis } = axes;
  const length = target.shape[rowAxis];
  const tile = new Float32Array(tileRows * length);
  const sampler = new RowSampler(source, samples, axes);
  for (let channel = 0; channel < target.channels; channel++) {
    for (let outer = from; outer < to; outer++) {
      for (let inner = 0; inner < target.shape[innerAxis]; inner += tileRows) {
        const rows = Math.min(tileRows, target.shape[innerAxis] - inner);
        for (let r = 0; r < rows; r++) sampler.sample(channel, outer, inner + r, tile, r * length);
        const start =
          target.offset +
          channel * target.channelStride +
          outer * target.strides[outerAxis] +
          inner * target.strides[innerAxis];
        writeTile(tile, rows, length, target.data, start, target.strides[rowAxis], target.strides[innerAxis]);
      }
    }
  }
}

/** Writes rows of a tile so that the innermost loop runs along the target's shorter stride. */
export function writeTile(
  tile: Float32Array | Uint8Array | Uint16Array,
  rows: number,
  length: number,
  data: KernelArray,
  start: number,
  stepAlong: number,
  stepRow: number,
): void {
  if (Math.abs(stepAlong) <= Math.abs(stepRow)) {
    for (let r = 0; r < rows; r++) {
      for (let i = 0, p = start + r * stepRow, t = r * length; i < length; i++, p += stepAlong)
        data[p] = tile[t + i] as number;
    }
    return;
  }
  for (let i = 0; i < length; i++) {
    for (let r = 0, p = start + i * stepAlong, t = i; r < rows; r++, p += stepRow, t += length)
      data[p] = tile[t] as number;
  }
}

export interface ResampleArgmaxInput extends Slab {
  readonly source: StridedImage<Float32Array>;
  /** One channel: the number of the source's channel with the largest value, the first of equals. */
  readonly target: StridedImage<Uint8Array | Uint16Array>;
  readonly samples: GridSamples;
  readonly axes: RowAxes;
}

/** Resamples all channels and keeps the largest one's number, without ever holding the resampled channels. */
export function resampleArgmaxSlab(input: ResampleArgmaxInput): void {
  const { source, target, samples, axes, from, to } = input;
  const { row: rowAxis, inner: innerAxis, outer: outerAxis } = axes;
  const length = target.shape[rowAxis];
  // One for each channel, since the kept rows are of one.
  const samplers = Array.from({ length: source.channels }, () => new RowSampler(source, samples, axes));
  const best = new Float32Array(length);
  const row = new Float32Array(length);
  const labels = new Uint16Array(tileRows * length);
  for (let outer = from; outer < to; outer++) {
    for (let inner = 0; inner < target.shape[innerAxis]; inner += tileRows) {
      const rows = Math.min(tileRows, target.shape[innerAxis] - inner);
      labels.fill(0);
      for (let r = 0; r < rows; r++) {
        samplers[0]?.sample(0, outer, inner + r, best, 0);
        for (let channel = 1; channel < source.channels; channel++) {
          samplers[channel]?.sample(channel, outer, inner + r, row, 0);
          keepLargest(row, best, labels, r * length, channel);
        }
      }
      const start = target.offset + outer * target.strides[outerAxis] + inner * target.strides[innerAxis];
      writeTile(labels, rows, length, target.data, start, target.strides[rowAxis], target.strides[innerAxis]);
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
