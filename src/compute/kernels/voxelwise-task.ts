import { roundHalfToEven } from './axis-samples.ts';
import type { Slab } from './slabs.ts';

/** Same element type in and out; `start` is the first voxel of the channel in memory. */
export interface RescaleInput extends Slab {
  readonly source: Float32Array | Uint8Array | Int8Array | Uint16Array | Int16Array;
  readonly sourceStart: number;
  readonly target: Float32Array;
  readonly targetStart: number;
  /** `((v − subtract) / divide) · multiply + add`, each step rounded to float32. */
  readonly subtract: number;
  readonly divide: number;
  readonly scale?: { readonly multiply: number; readonly add: number } | undefined;
  readonly clip?: { readonly min: number; readonly max: number } | undefined;
  /** Zeros stay zero. */
  readonly keepZeros?: boolean | undefined;
}

/** MONAI `ScaleIntensityRange` on one run of voxels, in float32 steps as torch. */
export function rescaleSlab(input: RescaleInput): void {
  const { source, sourceStart, target, targetStart, subtract, divide, scale, clip, from, to } = input;
  const a = Math.fround(subtract);
  const b = Math.fround(divide);
  const multiply = Math.fround(scale?.multiply ?? 1);
  const add = Math.fround(scale?.add ?? 0);
  const min = Math.fround(clip?.min ?? Number.NEGATIVE_INFINITY);
  const max = Math.fround(clip?.max ?? Number.POSITIVE_INFINITY);
  const keepZeros = input.keepZeros === true;
  for (let i = from; i < to; i++) {
    if (keepZeros && source[sourceStart + i] === 0) {
      target[targetStart + i] = 0;
      continue;
    }
    const shifted = Math.fround((source[sourceStart + i] as number) - a);
    const value = Math.fround(Math.fround(Math.fround(shifted / b) * multiply) + add);
    target[targetStart + i] = Math.min(Math.max(value, min), max);
  }
}

export interface ChannelsInput extends Slab {
  readonly data: Float32Array;
  readonly starts: readonly number[];
}

/** Softmax over the channels, in place. Differences that underflow float32 give 0 without an `exp`. */
export function softmaxSlab({ data, starts, from, to }: ChannelsInput): void {
  if (starts.length === 2) {
    softmaxPair(data, starts[0] as number, starts[1] as number, from, to);
    return;
  }
  const n = starts.length;
  const powers = new Float64Array(n);
  for (let i = from; i < to; i++) {
    let largest = Number.NEGATIVE_INFINITY;
    for (let c = 0; c < n; c++) largest = Math.max(largest, data[(starts[c] as number) + i] as number);
    let sum = 0;
    for (let c = 0; c < n; c++) {
      const below = Math.fround((data[(starts[c] as number) + i] as number) - largest);
      powers[c] = below < -104 ? 0 : Math.exp(below);
      sum += powers[c] as number;
    }
    for (let c = 0; c < n; c++) data[(starts[c] as number) + i] = (powers[c] as number) / sum;
  }
}

function softmaxPair(data: Float32Array, first: number, second: number, from: number, to: number): void {
  for (let i = from; i < to; i++) {
    const difference = Math.fround((data[second + i] as number) - (data[first + i] as number));
    const power = difference > 0 ? Math.exp(-difference) : Math.exp(difference);
    const small = difference > 104 || difference < -104 ? 0 : power / (1 + power);
    const large = 1 / (1 + power);
    data[first + i] = difference > 0 ? small : large;
    data[second + i] = difference > 0 ? large : small;
  }
}

/** Logistic function of every voxel, in place. */
export function sigmoidSlab({ data, starts, from, to }: ChannelsInput): void {
  for (const start of starts) {
    for (let i = start + from; i < start + to; i++) data[i] = 1 / (1 + Math.exp(-(data[i] as number)));
  }
}

export interface ArgmaxInput extends ChannelsInput {
  readonly target: Uint8Array | Uint16Array;
  readonly targetStart: number;
  /** The channels are logits whose softmax was asked for: equal after its rounding means the first. */
  readonly ofSoftmax: boolean;
}

/** Number of the channel with the largest value, the first of equals. */
export function argmaxSlab({ data, starts, target, targetStart, ofSoftmax, from, to }: ArgmaxInput): void {
  const n = starts.length;
  for (let i = from; i < to; i++) {
    let best = 0;
    let largest = data[(starts[0] as number) + i] as number;
    let runnerUp = Number.NEGATIVE_INFINITY;
    for (let c = 1; c < n; c++) {
      const value = data[(starts[c] as number) + i] as number;
      if (value > largest) {
        runnerUp = largest;
        largest = value;
        best = c;
      } else if (value > runnerUp) runnerUp = value;
    }
    // Two probabilities can only round to the same float32 when their logits are about an ulp apart.
    if (ofSoftmax && largest - runnerUp < 1e-5) best = firstAtMaximum(data, starts, i, largest);
    target[targetStart + i] = best;
  }
}

function firstAtMaximum(data: Float32Array, starts: readonly number[], i: number, largest: number): number {
  const powers = starts.map((start) => Math.exp(Math.fround((data[start + i] as number) - largest)));
  const sum = powers.reduce((total, power) => total + power, 0);
  const probabilities = powers.map((power) => Math.fround(power / sum));
  return probabilities.indexOf(Math.max(...probabilities));
}

/** Voxels of any element type in, zeros and ones out. */
export interface ThresholdInput extends Slab {
  readonly data: Float32Array | Uint8Array | Uint16Array;
  readonly starts: readonly number[];
  readonly target: Uint8Array;
  readonly targetStarts: readonly number[];
  readonly threshold: number;
}

/** 1 where a voxel is at least the threshold, else 0. */
export function thresholdSlab({ data, starts, target, targetStarts, threshold, from, to }: ThresholdInput): void {
  const limit = Math.fround(threshold);
  starts.forEach((start, c) => {
    const out = targetStarts[c] as number;
    for (let i = from; i < to; i++) target[out + i] = (data[start + i] as number) >= limit ? 1 : 0;
  });
}

export interface OneHotInput extends Slab {
  readonly data: Float32Array | Uint8Array | Uint16Array;
  readonly start: number;
  readonly target: Uint8Array;
  readonly targetStarts: readonly number[];
}

/** Sets the channel that a voxel's whole part names. Returns false when there is no such channel. */
export function oneHotSlab({ data, start, target, targetStarts, from, to }: OneHotInput): boolean {
  let known = true;
  for (let i = from; i < to; i++) {
    const channel = targetStarts[Math.trunc(data[start + i] as number)];
    if (channel === undefined) known = false;
    else target[channel + i] = 1;
  }
  return known;
}

/** Rounds to whole numbers, halves to even, in place. */
export function roundSlab({ data, starts, from, to }: ChannelsInput): void {
  for (const start of starts) {
    for (let i = start + from; i < start + to; i++) data[i] = roundHalfToEven(data[i] as number);
  }
}

/** Whether all voxels are numbers. */
export function numbersSlab({ data, starts, from, to }: ChannelsInput): boolean {
  return starts.every((start) => {
    for (let i = start + from; i < start + to; i++) if (Number.isNaN(data[i])) return false;
    return true;
  });
}
