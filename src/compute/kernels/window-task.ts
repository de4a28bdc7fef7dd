import type { StridedImage } from '../../imaging/strided-image.ts';

/** A box of an image: first voxel and size, in the order x, y, z. */
export interface Window {
  readonly start: readonly [number, number, number];
  readonly size: readonly [number, number, number];
}

export interface GatherInput extends Window {
  readonly image: StridedImage<Float32Array>;
  /** Result, (C, X, Y, Z) with z fastest. */
  readonly target: Float32Array;
}

/** Copies a window into a network's input. */
export function gatherWindow({ image, start, size, target }: GatherInput): void {
  const { data, strides } = image;
  let q = 0;
  for (let c = 0; c < image.channels; c++) {
    const first =
      image.offset + c * image.channelStride + start[0] * strides[0] + start[1] * strides[1] + start[2] * strides[2];
    for (let x = 0; x < size[0]; x++) {
      for (let y = 0; y < size[1]; y++) {
        let p = first + x * strides[0] + y * strides[1];
        for (const end = q + size[2]; q < end; p += strides[2]) target[q++] = data[p] as number;
      }
    }
  }
}

export interface AccumulateInput extends Window {
  /** Running sums, z fastest. */
  readonly sums: StridedImage<Float32Array>;
  /** A network's answer, (C, X, Y, Z) with z fastest. */
  readonly values: Float32Array;
  /** Importance of each voxel of a window, (X, Y, Z); none means 1 everywhere. */
  readonly weights: Float32Array | undefined;
  /** Channels to add. */
  readonly channels: { readonly from: number; readonly to: number };
}

/** Adds a weighted answer to the running sums: product and sum each rounded to float32, as torch's `out += p * w`. */
export function accumulateWindow(input: AccumulateInput): void {
  const { sums, values, weights, start, size, channels } = input;
  const [nx, ny, nz] = size;
  const voxels = nx * ny * nz;
  const [sx, sy, sz] = sums.strides;
  for (let c = channels.from; c < channels.to; c++) {
    const first = sums.offset + c * sums.channelStride + start[0] * sx + start[1] * sy + start[2] * sz;
    for (let x = 0; x < nx; x++) {
      for (let y = 0; y < ny; y++) {
        const row = (x * ny + y) * nz;
        const target = first + x * sx + y * sy;
        if (weights) addWeightedRow(sums.data, target, sz, values, c * voxels + row, weights, row, nz);
        else addRow(sums.data, target, sz, values, c * voxels + row, nz);
      }
    }
  }
}

function addRow(sums: Float32Array, at: number, step: number, values: Float32Array, from: number, n: number): void {
  for (let i = 0, p = at; i < n; i++, p += step)
    sums[p] = Math.fround((sums[p] as number) + (values[from + i] as number));
}

function addWeightedRow(
  sums: Float32Array,
  at: number,
  step: number,
  values: Float32Array,
  from: number,
  weights: Float32Array,
  weightsFrom: number,
  n: number,
): void {
  for (let i = 0, p = at; i < n; i++, p += step) {
    const weighted = Math.fround((values[from + i] as number) * (weights[weightsFrom + i] as number));
    sums[p] = Math.fround((sums[p] as number) + weighted);
  }
}

export interface DivideInput {
  readonly from: number;
  readonly to: number;
  /** Sums, (C, X, Y, Z) with z fastest and without gaps; divided in place. */
  readonly sums: StridedImage<Float32Array>;
  /** How many windows cover each x, y and z; their product divides. */
  readonly coverage?: readonly [Float32Array, Float32Array, Float32Array] | undefined;
  /** Or the sum of the windows' weights, (X, Y, Z). */
  readonly weightSums?: Float32Array | undefined;
}

/** Divides the sums by the weights, for the planes `from…to` of x. Returns whether all results are numbers. */
export function divideByWeights({ sums, coverage, weightSums, from, to }: DivideInput): boolean {
  const [, ny, nz] = sums.shape;
  const { data } = sums;
  const divisors = new Float32Array(nz);
  let allNumbers = true;
  for (let x = from; x < to; x++) {
    for (let y = 0; y < ny; y++) {
      const row = (x * ny + y) * nz;
      if (weightSums) divisors.set(weightSums.subarray(row, row + nz));
      else if (coverage) {
        const [cx, cy, cz] = coverage;
        const outer = (cx[x] as number) * (cy[y] as number);
        for (let z = 0; z < nz; z++) divisors[z] = outer * (cz[z] as number);
      }
      for (let c = 0; c < sums.channels; c++) {
        const start = sums.offset + c * sums.channelStride + row;
        for (let z = 0; z < nz; z++) {
          const value = Math.fround((data[start + z] as number) / (divisors[z] as number));
          data[start + z] = value;
          if (Number.isNaN(value)) allNumbers = false;
        }
      }
    }
  }
  return allNumbers;
}

export interface SumWeightsInput {
  readonly starts: readonly (readonly [number, number, number])[];
  readonly size: readonly [number, number, number];
  readonly weights: Float32Array;
  /** One channel, z fastest. */
  readonly sums: StridedImage<Float32Array>;
}

/** Adds the weights of all windows, in their order. */
export function sumWeights({ starts, size, weights, sums }: SumWeightsInput): void {
  const channels = { from: 0, to: 1 };
  for (const start of starts) accumulateWindow({ sums, values: weights, weights: undefined, start, size, channels });
}
