import type { Slab } from './slabs.ts';

type Intensities = Float32Array | Uint8Array | Int8Array | Uint16Array | Int16Array;

export interface StatisticsInput extends Slab {
  readonly data: Intensities;
  /** First voxel of the channel in memory. */
  readonly start: number;
  readonly onlyNonzero: boolean;
}

/** Sums of a slab in double precision. Without a voxel that counts, `min` is ∞ and `max` −∞. */
export interface SlabStatistics {
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** Count, sum and range of a slab's voxels. */
export function statisticsSlab({ data, start, onlyNonzero, from, to }: StatisticsInput): SlabStatistics {
  let count = 0;
  let sum = 0;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (let i = start + from; i < start + to; i++) {
    const value = data[i] as number;
    if (onlyNonzero && value === 0) continue;
    count++;
    sum += value;
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return { count, sum, min, max };
}

export interface DeviationInput extends StatisticsInput {
  readonly mean: number;
}

/** Sum of the squared distances from the mean. */
export function deviationSlab({ data, start, onlyNonzero, mean, from, to }: DeviationInput): number {
  let sum = 0;
  for (let i = start + from; i < start + to; i++) {
    const value = data[i] as number;
    if (onlyNonzero && value === 0) continue;
    sum += (value - mean) * (value - mean);
  }
  return sum;
}
