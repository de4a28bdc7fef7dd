import type { Shape3 } from '../../imaging/volume.ts';
import type { AxisSamples } from './axis-samples.ts';
import { confidentSlab } from './confident-labels-task.ts';
import type { Slab } from './slabs.ts';
import { argmaxSlab, softmaxSlab } from './voxelwise-task.ts';

/**
 * Columns along z of a many-channel image of which only a part is in memory: column (x, y), as (C, Z), lies at
 * `slots[x · ny + y] · C · nz` in `data`, or nowhere when that is -1.
 */
export interface Columns {
  readonly data: Float32Array;
  readonly slots: Int32Array;
  readonly channels: number;
  readonly shape: Shape3;
}

const lengthOf = ({ channels, shape }: Columns): number => channels * shape[2];

const columnStart = (columns: Columns, x: number, y: number): number =>
  (columns.slots[x * columns.shape[1] + y] as number) * lengthOf(columns);

/** A rectangle of columns, its upper ends not included. */
export interface ColumnArea {
  readonly x: readonly [from: number, to: number];
  readonly y: readonly [from: number, to: number];
}

export interface AddToColumnsInput extends Slab {
  readonly columns: Columns;
  /** A network's answer, (C, X, Y, Z) with z fastest; the slab cuts its x. */
  readonly values: Float32Array;
  /** Importance of each voxel of a window, (X, Y, Z); none means 1 everywhere. */
  readonly weights: Float32Array | undefined;
  readonly start: readonly [number, number, number];
  readonly size: readonly [number, number, number];
}

/** Adds a weighted answer to the running sums: product and sum each rounded to float32, as `accumulateWindow`. */
export function addToColumns({ columns, values, weights, start, size, from, to }: AddToColumnsInput): void {
  const { data, channels } = columns;
  const nz = columns.shape[2];
  const [, ny, length] = size;
  const windowVoxels = size[0] * ny * length;
  for (let x = from; x < to; x++) {
    for (let y = 0; y < ny; y++) {
      const base = columnStart(columns, start[0] + x, start[1] + y) + start[2];
      const row = (x * ny + y) * length;
      for (let c = 0; c < channels; c++) {
        const at = base + c * nz;
        const source = c * windowVoxels + row;
        if (weights) addWeighted(data, at, values, source, weights, row, length);
        else add(data, at, values, source, length);
      }
    }
  }
}

function add(sums: Float32Array, at: number, values: Float32Array, from: number, n: number): void {
  for (let i = 0; i < n; i++) sums[at + i] = Math.fround((sums[at + i] as number) + (values[from + i] as number));
}

function addWeighted(
  sums: Float32Array,
  at: number,
  values: Float32Array,
  from: number,
  weights: Float32Array,
  weightsFrom: number,
  n: number,
): void {
  for (let i = 0; i < n; i++) {
    const weighted = Math.fround((values[from + i] as number) * (weights[weightsFrom + i] as number));
    sums[at + i] = Math.fround((sums[at + i] as number) + weighted);
  }
}

/** The slab cuts the area's x. */
export interface SettleInput extends Slab {
  readonly columns: Columns;
  readonly y: ColumnArea['y'];
  /** How many windows cover each x, y and z; their product divides. */
  readonly coverage?: readonly [Float32Array, Float32Array, Float32Array] | undefined;
  /** Or the sum of the windows' weights, (X, Y, Z). */
  readonly weightSums?: Float32Array | undefined;
  /** One label a voxel, (X, Y, Z). */
  readonly labels: Uint8Array | Uint16Array;
  /** `labels`: the argmax, and the columns are cleared. `values`: they stay, and labels are a first guess. */
  readonly give: 'labels' | 'values';
  readonly softmax: boolean;
  /** Label of a guess where the two largest channels are too close. */
  readonly unsure: number;
}

/** Divides complete sums by their weights and takes the argmax or the softmax. Returns whether all are numbers. */
export function settleColumns(input: SettleInput): boolean {
  const { columns, y, labels, give, softmax, unsure, from, to } = input;
  const { data, channels, shape } = columns;
  const nz = shape[2];
  const divisors = new Float32Array(nz);
  const starts = new Array<number>(channels);
  let allNumbers = true;
  for (let x = from; x < to; x++) {
    for (let row = y[0]; row < y[1]; row++) {
      fillDivisors(divisors, input, x, row);
      const base = columnStart(columns, x, row);
      for (let c = 0; c < channels; c++) starts[c] = base + c * nz;
      for (const start of starts) {
        for (let z = 0; z < nz; z++) {
          const value = Math.fround((data[start + z] as number) / (divisors[z] as number));
          data[start + z] = value;
          if (Number.isNaN(value)) allNumbers = false;
        }
      }
      const target = { target: labels, targetStart: (x * shape[1] + row) * nz };
      if (give === 'labels') {
        argmaxSlab({ data, starts, ...target, ofSoftmax: softmax, from: 0, to: nz });
        data.fill(0, base, base + channels * nz);
      } else {
        if (softmax) softmaxSlab({ data, starts, from: 0, to: nz });
        confidentSlab({ data, starts, ...target, unsure, from: 0, to: nz });
      }
    }
  }
  return allNumbers;
}

function fillDivisors(
  divisors: Float32Array,
  { columns, coverage, weightSums }: SettleInput,
  x: number,
  y: number,
): void {
  const nz = divisors.length;
  if (weightSums) {
    const row = (x * columns.shape[1] + y) * nz;
    divisors.set(weightSums.subarray(row, row + nz));
  } else if (coverage) {
    const [cx, cy, cz] = coverage;
    const outer = (cx[x] as number) * (cy[y] as number);
    for (let z = 0; z < nz; z++) divisors[z] = outer * (cz[z] as number);
  }
}

/** The slab cuts `xs`. */
export interface SampleColumnsInput extends Slab {
  readonly columns: Columns;
  /** First guesses of {@link settleColumns}, (X, Y, Z). */
  readonly guesses: Uint8Array | Uint16Array;
  readonly unsure: number;
  /** Where each output index of an axis reads. */
  readonly samples: readonly [AxisSamples, AxisSamples, AxisSamples];
  /** Whether the weights of every sample add up to 1, so that equal guesses around it need no interpolation. */
  readonly keepsWeight: boolean;
  /** Output indices whose columns are all there. */
  readonly xs: Int32Array;
  readonly ys: Int32Array;
  /** Labels of the output, (X, Y, Z) with z fastest. */
  readonly target: Uint8Array | Uint16Array;
  readonly targetShape: Shape3;
}

/** Interpolates all channels between columns and keeps the largest one's number, the first of equals. */
export function sampleColumns(input: SampleColumnsInput): void {
  const { columns, samples, guesses, unsure, keepsWeight, xs, ys, target, targetShape, from, to } = input;
  const [alongX, alongY, alongZ] = samples;
  const [, ny, nz] = columns.shape;
  const corners = new Corners(columns, alongZ);
  for (const x of xs.subarray(from, to)) {
    for (const y of ys) {
      const [x0, x1] = [alongX.index0[x] as number, alongX.index1[x] as number];
      const [y0, y1] = [alongY.index0[y] as number, alongY.index1[y] as number];
      const rows = [(x0 * ny + y0) * nz, (x1 * ny + y0) * nz, (x0 * ny + y1) * nz, (x1 * ny + y1) * nz] as const;
      corners.place(x0, x1, y0, y1, [
        (alongX.weight0[x] as number) * (alongY.weight0[y] as number),
        (alongX.weight1[x] as number) * (alongY.weight0[y] as number),
        (alongX.weight0[x] as number) * (alongY.weight1[y] as number),
        (alongX.weight1[x] as number) * (alongY.weight1[y] as number),
      ]);
      const out = (x * targetShape[1] + y) * targetShape[2];
      for (let z = 0; z < targetShape[2]; z++) {
        const low = alongZ.index0[z] as number;
        const high = alongZ.index1[z] as number;
        const label = guesses[rows[0] + low] as number;
        const agreed =
          keepsWeight &&
          label !== unsure &&
          rows.every((row) => guesses[row + low] === label && guesses[row + high] === label);
        target[out + z] = agreed ? label : corners.argmax(z);
      }
    }
  }
}

/** The four columns around an output row, and the interpolation between them. */
class Corners {
  readonly #columns: Columns;
  readonly #along: AxisSamples;
  readonly #starts: [number, number, number, number] = [0, 0, 0, 0];
  #weights: readonly [number, number, number, number] = [0, 0, 0, 0];

  constructor(columns: Columns, along: AxisSamples) {
    this.#columns = columns;
    this.#along = along;
  }

  place(x0: number, x1: number, y0: number, y1: number, weights: readonly [number, number, number, number]): void {
    this.#starts[0] = columnStart(this.#columns, x0, y0);
    this.#starts[1] = columnStart(this.#columns, x1, y0);
    this.#starts[2] = columnStart(this.#columns, x0, y1);
    this.#starts[3] = columnStart(this.#columns, x1, y1);
    this.#weights = weights;
  }

  /** Number of the channel that is largest at a point, the first of equals after rounding to float32. */
  argmax(z: number): number {
    const { data, channels, shape } = this.#columns;
    const nz = shape[2];
    const low = this.#along.index0[z] as number;
    const high = this.#along.index1[z] as number;
    const lowWeight = this.#along.weight0[z] as number;
    const highWeight = this.#along.weight1[z] as number;
    const [a, b, c, d] = this.#starts;
    const [wa, wb, wc, wd] = this.#weights;
    let best = 0;
    let largest = Number.NEGATIVE_INFINITY;
    for (let channel = 0, at = 0; channel < channels; channel++, at += nz) {
      const below =
        (data[a + at + low] as number) * wa +
        (data[b + at + low] as number) * wb +
        (data[c + at + low] as number) * wc +
        (data[d + at + low] as number) * wd;
      const above =
        (data[a + at + high] as number) * wa +
        (data[b + at + high] as number) * wb +
        (data[c + at + high] as number) * wc +
        (data[d + at + high] as number) * wd;
      const value = Math.fround(below * lowWeight + above * highWeight);
      if (value > largest) {
        largest = value;
        best = channel;
      }
    }
    return best;
  }
}

export interface ClearColumnsInput extends Slab {
  readonly columns: Columns;
  /** Slots to zero; the slab cuts them. */
  readonly freed: Int32Array;
}

/** Zeroes columns that are done with, for the next ones in their place. */
export function clearColumns({ columns, freed, from, to }: ClearColumnsInput): void {
  const length = lengthOf(columns);
  for (const slot of freed.subarray(from, to)) columns.data.fill(0, slot * length, (slot + 1) * length);
}
