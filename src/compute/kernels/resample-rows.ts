import { type Axis, memoryOrderOf, type StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { AxisSamples } from './axis-samples.ts';

/** Samples of the three axes of a grid that stays parallel to its source: resampling is then separable. */
export type GridSamples = readonly [AxisSamples, AxisSamples, AxisSamples];

/**
 * Values smaller than this are summed again in torch's order: only there is the noise of double precision seen in single
 * precision, and only there it decides between zero and not zero, which transforms of nonzero voxels ask.
 */
const nearZero = 1e-5;

/** Which axis the computed rows run along, and the two loops around them. */
export interface RowAxes {
  readonly row: Axis;
  readonly inner: Axis;
  readonly outer: Axis;
}

/**
 * Rows along the source's fastest axis, so that they are read as they lie; the inner loop along the target's, so that a
 * tile of rows fills whole cache lines.
 */
export function rowAxesFor(source: StridedImage, target: StridedImage): RowAxes {
  const row = memoryOrderOf(source).fastestFirst[0];
  const [inner, outer] = memoryOrderOf(target).fastestFirst.filter((axis) => axis !== row) as [Axis, Axis];
  return { row, inner, outer };
}

/**
 * Computes output rows. Rows of one channel are asked for with the outer index fixed and the inner one rising:
 * the two source rows around an inner index, blended along the outer axis, are then kept for the next.
 *
 * Sums in double precision, rounded once to float32 at the end, as MONAI with its default float64.
 */
export class RowSampler {
  readonly #source: StridedImage<VoxelArray>;
  readonly #along: AxisSamples;
  readonly #step: number;
  readonly #outer: AxisSamples;
  readonly #inner: AxisSamples;
  readonly #innerSize: number;
  readonly #outerStride: number;
  readonly #innerStride: number;
  /** Sampling along the row early shortens it when it is made coarser; late is better when it is made finer. */
  readonly #alongFirst: boolean;
  readonly #corners: CornerSampler;
  readonly #full: Float64Array;
  #low: KeptRow;
  #high: KeptRow;

  constructor(source: StridedImage<VoxelArray>, samples: GridSamples, axes: RowAxes) {
    this.#source = source;
    this.#along = samples[axes.row];
    this.#outer = samples[axes.outer];
    this.#inner = samples[axes.inner];
    this.#step = source.strides[axes.row];
    this.#innerSize = source.shape[axes.inner];
    this.#outerStride = source.strides[axes.outer];
    this.#innerStride = source.strides[axes.inner];
    this.#corners = new CornerSampler(source, samples, axes);
    const outLength = samples[axes.row].index0.length;
    const fullLength = source.shape[axes.row];
    this.#alongFirst = outLength < fullLength;
    this.#full = new Float64Array(fullLength);
    const length = this.#alongFirst ? outLength : fullLength;
    this.#low = { key: -1, values: new Float64Array(length) };
    this.#high = { key: -1, values: new Float64Array(length) };
  }

  /** Writes one row to `out[start…]`. */
  sample(channel: number, outer: number, inner: number, out: Float32Array, start: number): void {
    const index0 = this.#inner.index0[inner] as number;
    const index1 = this.#inner.index1[inner] as number;
    const weight0 = this.#inner.weight0[inner] as number;
    const weight1 = this.#inner.weight1[inner] as number;
    const low = this.#kept(channel, outer, index0);
    const high = weight1 === 0 ? low : this.#keptBeside(low, channel, outer, index1);
    if (this.#alongFirst) blendRows(low.values, high.values, weight0, weight1, out, start);
    else {
      blendRows(low.values, high.values, weight0, weight1, this.#full, 0);
      sampleRow(this.#full, this.#along, out, start);
    }
    this.#corners.mend(channel, outer, inner, out, start);
  }

  #kept(channel: number, outer: number, index: number): KeptRow {
    const key = this.#keyOf(channel, outer, index);
    if (this.#low.key === key) return this.#low;
    if (this.#high.key === key) {
      [this.#low, this.#high] = [this.#high, this.#low];
      return this.#low;
    }
    return this.#fill(this.#low, key, channel, outer, index);
  }

  #keptBeside(low: KeptRow, channel: number, outer: number, index: number): KeptRow {
    const key = this.#keyOf(channel, outer, index);
    if (low.key === key) return low;
    return this.#high.key === key ? this.#high : this.#fill(this.#high, key, channel, outer, index);
  }

  #keyOf(channel: number, outer: number, index: number): number {
    return (channel * this.#outer.index0.length + outer) * this.#innerSize + index;
  }

  /** Blends two source rows along the outer axis. */
  #fill(row: KeptRow, key: number, channel: number, outer: number, index: number): KeptRow {
    const { data, offset, channelStride } = this.#source;
    const base = offset + channel * channelStride + index * this.#innerStride;
    const a = base + (this.#outer.index0[outer] as number) * this.#outerStride;
    const b = base + (this.#outer.index1[outer] as number) * this.#outerStride;
    const wa = this.#outer.weight0[outer] as number;
    const wb = this.#outer.weight1[outer] as number;
    const target = this.#alongFirst ? this.#full : row.values;
    if (data instanceof Float32Array) blendFloats(data, a, wa, b, wb, this.#step, target);
    else blendIntegers(data, a, wa, b, wb, this.#step, target);
    if (this.#alongFirst) sampleRow(this.#full, this.#along, row.values, 0);
    row.key = key;
    return row;
  }
}

/** Sums the eight voxels around a position as torch's `grid_sampler_3d` does, for the values where the order is seen. */
class CornerSampler {
  readonly #source: StridedImage<VoxelArray>;
  readonly #samples: GridSamples;
  readonly #axes: RowAxes;
  readonly #length: number;
  /** Between voxels on more than one axis; on one, every order is the same. */
  readonly #isNeeded: boolean;

  constructor(source: StridedImage<VoxelArray>, samples: GridSamples, axes: RowAxes) {
    this.#source = source;
    this.#samples = samples;
    this.#axes = axes;
    this.#length = samples[axes.row].index0.length;
    this.#isNeeded = samples.filter(({ weight1 }) => weight1.some((weight) => weight !== 0)).length > 1;
  }

  /** Replaces what is near zero in a row. */
  mend(channel: number, outer: number, inner: number, out: Float32Array, start: number): void {
    if (!this.#isNeeded) return;
    const index: [number, number, number] = [0, 0, 0];
    index[this.#axes.outer] = outer;
    index[this.#axes.inner] = inner;
    for (let i = 0; i < this.#length; i++) {
      if (!(Math.abs(out[start + i] as number) < nearZero)) continue;
      index[this.#axes.row] = i;
      out[start + i] = this.#sumAt(channel, index);
    }
  }

  #sumAt(channel: number, index: readonly [number, number, number]): number {
    const { data, offset, channelStride, strides } = this.#source;
    const [k, j, i] = this.#samples;
    const base = offset + channel * channelStride;
    let sum = 0;
    for (let corner = 0; corner < 8; corner++) {
      // The last axis is torch's x, and varies fastest.
      const [x, y, z] = [corner & 1, corner & 2, corner & 4];
      const at =
        base +
        ((z ? k.index1 : k.index0)[index[0]] as number) * strides[0] +
        ((y ? j.index1 : j.index0)[index[1]] as number) * strides[1] +
        ((x ? i.index1 : i.index0)[index[2]] as number) * strides[2];
      const value = data[at] as number;
      if (value === 0) continue;
      const weight =
        ((x ? i.weight1 : i.weight0)[index[2]] as number) *
        ((y ? j.weight1 : j.weight0)[index[1]] as number) *
        ((z ? k.weight1 : k.weight0)[index[0]] as number);
      if (weight !== 0) sum += value * weight;
    }
    return sum;
  }
}

interface KeptRow {
  key: number;
  readonly values: Float64Array;
}

function blendFloats(
  data: Float32Array,
  a: number,
  wa: number,
  b: number,
  wb: number,
  step: number,
  out: Float64Array,
): void {
  const n = out.length;
  if (wb === 0) for (let i = 0, p = a; i < n; i++, p += step) out[i] = wa * (data[p] as number);
  else
    for (let i = 0, p = a, q = b; i < n; i++, p += step, q += step)
      out[i] = wa * (data[p] as number) + wb * (data[q] as number);
}

/** The same for other element types, apart so that the engine compiles each for what it gets. */
function blendIntegers(
  data: VoxelArray,
  a: number,
  wa: number,
  b: number,
  wb: number,
  step: number,
  out: Float64Array,
): void {
  const n = out.length;
  if (wb === 0) for (let i = 0, p = a; i < n; i++, p += step) out[i] = wa * (data[p] as number);
  else
    for (let i = 0, p = a, q = b; i < n; i++, p += step, q += step)
      out[i] = wa * (data[p] as number) + wb * (data[q] as number);
}

function blendRows(
  low: Float64Array,
  high: Float64Array,
  wl: number,
  wh: number,
  out: Float64Array | Float32Array,
  start: number,
): void {
  const n = low.length;
  if (out instanceof Float64Array)
    for (let i = 0; i < n; i++) out[start + i] = (low[i] as number) * wl + (high[i] as number) * wh;
  else for (let i = 0; i < n; i++) out[start + i] = (low[i] as number) * wl + (high[i] as number) * wh;
}

function sampleRow(row: Float64Array, samples: AxisSamples, out: Float64Array | Float32Array, start: number): void {
  const { index0, index1, weight0, weight1 } = samples;
  const n = index0.length;
  if (out instanceof Float64Array) {
    for (let i = 0; i < n; i++)
      out[start + i] =
        (row[index0[i] as number] as number) * (weight0[i] as number) +
        (row[index1[i] as number] as number) * (weight1[i] as number);
  } else {
    for (let i = 0; i < n; i++)
      out[start + i] =
        (row[index0[i] as number] as number) * (weight0[i] as number) +
        (row[index1[i] as number] as number) * (weight1[i] as number);
  }
}
