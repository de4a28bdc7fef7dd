import type { StridedImage } from '../../imaging/strided-image.ts';
import type { AxisSamples } from './axis-samples.ts';
import type { GridSamples, RowAxes } from './resample-rows.ts';
import type { ResampleArgmaxInput } from './resample-task.ts';
import { writeTile } from './resample-task.ts';
import type { Slab } from './slabs.ts';

type LabelArray = Uint8Array | Uint16Array;

export interface ConfidentInput extends Slab {
  readonly data: Float32Array;
  readonly starts: readonly number[];
  readonly target: LabelArray;
  readonly targetStart: number;
  /** Written where the two largest channels are too close to tell them apart after rounding. */
  readonly unsure: number;
}

/**
 * The largest channel of each voxel, where it leads by more than any rounding. Returns how often the label changes from
 * one voxel to the next in memory: a measure of how much border there is.
 */
export function confidentSlab({ data, starts, target, targetStart, unsure, from, to }: ConfidentInput): number {
  let changes = 0;
  let previous = from > 0 ? confidentLabel(data, starts, from - 1, unsure) : undefined;
  for (let i = from; i < to; i++) {
    const label = confidentLabel(data, starts, i, unsure);
    target[targetStart + i] = label;
    if (label !== previous || label === unsure) changes++;
    previous = label;
  }
  return changes;
}

function confidentLabel(data: Float32Array, starts: readonly number[], i: number, unsure: number): number {
  let best = 0;
  let largest = data[(starts[0] as number) + i] as number;
  let second = Number.NEGATIVE_INFINITY;
  for (let c = 1; c < starts.length; c++) {
    const value = data[(starts[c] as number) + i] as number;
    if (value > largest) {
      second = largest;
      largest = value;
      best = c;
    } else if (value > second) second = value;
  }
  return largest - second > 1e-6 * Math.max(Math.abs(largest), Math.abs(second)) ? best : unsure;
}

export interface ConfidentArgmaxInput extends ResampleArgmaxInput {
  /** {@link confidentSlab}'s result; the source's layout. */
  readonly labels: StridedImage<LabelArray>;
  readonly unsure: number;
}

const tileRows = 32;

/**
 * Resampling with argmax where most of the image is inside of labels: a weighted mean of voxels that all have the same
 * clear winner has that winner, so only voxels with different or unclear neighbours are interpolated. All weights of a
 * sample must add up to 1 (no zeros beyond the edge), and the target must be zeroed.
 */
export function confidentArgmaxSlab(input: ConfidentArgmaxInput): void {
  const { source, labels, target, samples, axes, unsure, from, to } = input;
  const length = target.shape[axes.row];
  const innerLength = target.shape[axes.inner];
  const tile = new Uint16Array(tileRows * length);
  const rows = new LabelRows(labels, samples, axes, unsure);
  const point = new PointSampler(source, samples, axes);
  for (let outer = from; outer < to; outer++) {
    for (let inner = 0; inner < innerLength; inner += tileRows) {
      const count = Math.min(tileRows, innerLength - inner);
      let background = true;
      for (let r = 0; r < count; r++) {
        const only = rows.fill(outer, inner + r, tile, r * length);
        if (only !== 0) background = false;
        if (only !== undefined) continue;
        for (let i = 0, t = r * length; i < length; i++, t++)
          if (tile[t] === unsure) tile[t] = point.argmax(i, outer, inner + r);
      }
      if (background) continue; // the target is zeroed
      const start = target.offset + outer * target.strides[axes.outer] + inner * target.strides[axes.inner];
      writeTile(tile, count, length, target.data, start, target.strides[axes.row], target.strides[axes.inner]);
    }
  }
}

/** Labels of a source row on which its neighbour along the outer axis agrees. */
interface KeptRow {
  key: number;
  /** The label of the whole row, when there is only one and it is sure. */
  only: number | undefined;
  readonly values: Uint16Array;
}

/** Rows of labels on which all neighbours agree. Keeps what the next inner index needs again. */
class LabelRows {
  readonly #labels: StridedImage<LabelArray>;
  readonly #along: AxisSamples;
  readonly #samples: GridSamples;
  readonly #axes: RowAxes;
  readonly #unsure: number;
  readonly #agreed: Uint16Array;
  #low: KeptRow;
  #high: KeptRow;

  constructor(labels: StridedImage<LabelArray>, samples: GridSamples, axes: RowAxes, unsure: number) {
    const length = labels.shape[axes.row];
    this.#labels = labels;
    this.#samples = samples;
    this.#along = samples[axes.row];
    this.#axes = axes;
    this.#unsure = unsure;
    this.#agreed = new Uint16Array(length);
    this.#low = { key: -1, only: undefined, values: new Uint16Array(length) };
    this.#high = { key: -1, only: undefined, values: new Uint16Array(length) };
  }

  /** Writes one output row; returns its label when the whole row has one. */
  fill(outer: number, inner: number, out: Uint16Array, start: number): number | undefined {
    const { index0, index1 } = this.#samples[this.#axes.inner];
    const low = this.#kept(outer, index0[inner] as number, undefined);
    const high = this.#kept(outer, index1[inner] as number, low);
    const along = this.#along;
    if (low.only !== undefined && low.only === high.only) {
      out.fill(low.only, start, start + along.index0.length);
      return low.only;
    }
    const unsure = this.#unsure;
    const agreed = this.#agreed;
    const [a, b] = [low.values, high.values];
    for (let i = 0; i < agreed.length; i++) agreed[i] = a[i] === b[i] ? (a[i] as number) : unsure;
    for (let i = 0, t = start; i < along.index0.length; i++, t++) {
      const label = agreed[along.index0[i] as number] as number;
      out[t] = label === agreed[along.index1[i] as number] ? label : unsure;
    }
    return undefined;
  }

  /** Labels on which the two source rows around the outer index agree; never overwrites `beside`. */
  #kept(outer: number, index: number, beside: KeptRow | undefined): KeptRow {
    const key = outer * this.#labels.shape[this.#axes.inner] + index;
    if (this.#low.key === key) return this.#low;
    if (this.#high.key !== key) {
      // The row that is not needed any more becomes the high one.
      if (this.#high === beside || beside === undefined) [this.#low, this.#high] = [this.#high, this.#low];
      this.#fillRow(this.#high, key, outer, index);
    }
    return this.#high;
  }

  #fillRow(row: KeptRow, key: number, outer: number, index: number): void {
    const { data, offset, strides } = this.#labels;
    const step = strides[this.#axes.row];
    const base = offset + index * strides[this.#axes.inner];
    const around = this.#samples[this.#axes.outer];
    let p = base + (around.index0[outer] as number) * strides[this.#axes.outer];
    let q = base + (around.index1[outer] as number) * strides[this.#axes.outer];
    const { values } = row;
    const first = data[p] as number;
    let same = first !== this.#unsure;
    for (let i = 0; i < values.length; i++, p += step, q += step) {
      const label = data[p] as number;
      const agreed = label === data[q] ? label : this.#unsure;
      values[i] = agreed;
      if (agreed !== first) same = false;
    }
    row.only = same ? first : undefined;
    row.key = key;
  }
}

/** Interpolates single voxels of all channels. */
class PointSampler {
  readonly #source: StridedImage<Float32Array>;
  readonly #samples: GridSamples;
  readonly #axes: RowAxes;
  readonly #positions = new Float64Array(8);
  readonly #weights = new Float64Array(8);

  constructor(source: StridedImage<Float32Array>, samples: GridSamples, axes: RowAxes) {
    this.#source = source;
    this.#samples = samples;
    this.#axes = axes;
  }

  /** Number of the channel that is largest at a point, the first of equals after rounding to float32. */
  argmax(along: number, outer: number, inner: number): number {
    this.#locate(along, outer, inner);
    let best = 0;
    let largest = Number.NEGATIVE_INFINITY;
    for (let channel = 0; channel < this.#source.channels; channel++) {
      const value = this.#value(channel);
      if (value > largest) {
        largest = value;
        best = channel;
      }
    }
    return best;
  }

  #locate(along: number, outer: number, inner: number): void {
    const { row, outer: outerAxis, inner: innerAxis } = this.#axes;
    const { strides, offset } = this.#source;
    const [a, b, c] = [this.#samples[row], this.#samples[outerAxis], this.#samples[innerAxis]];
    for (let corner = 0; corner < 8; corner++) {
      const i = (corner & 1 ? a.index1[along] : a.index0[along]) as number;
      const j = (corner & 2 ? b.index1[outer] : b.index0[outer]) as number;
      const k = (corner & 4 ? c.index1[inner] : c.index0[inner]) as number;
      this.#positions[corner] = offset + i * strides[row] + j * strides[outerAxis] + k * strides[innerAxis];
      this.#weights[corner] =
        ((corner & 1 ? a.weight1[along] : a.weight0[along]) as number) *
        ((corner & 2 ? b.weight1[outer] : b.weight0[outer]) as number) *
        ((corner & 4 ? c.weight1[inner] : c.weight0[inner]) as number);
    }
  }

  #value(channel: number): number {
    const start = channel * this.#source.channelStride;
    let sum = 0;
    for (let corner = 0; corner < 8; corner++) {
      sum +=
        (this.#source.data[start + (this.#positions[corner] as number)] as number) * (this.#weights[corner] as number);
    }
    return Math.fround(sum);
  }
}
