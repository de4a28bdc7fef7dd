import type { Slab } from './slabs.ts';

type Intensities = Float32Array | Uint8Array | Int8Array | Uint16Array | Int16Array;

export interface CountKeysInput extends Slab {
  readonly data: Intensities;
  readonly start: number;
  /** Count the upper 16 bits of the keys, or the lower 16 of those keys whose upper ones are listed. */
  readonly uppers?: readonly number[] | undefined;
}

/** Counts by the upper 16 bits: one histogram; by the lower: one for each listed upper value. */
export type KeyCounts = readonly Uint32Array[];

const bits = new Uint32Array(1);
const float = new Float32Array(bits.buffer);

/** Order-preserving key of a float32: integers in the order of the numbers, −0 and 0 alike. */
export function orderedKey(value: number): number {
  float[0] = value + 0;
  const pattern = bits[0] as number;
  return (pattern & 0x80000000 ? ~pattern : pattern | 0x80000000) >>> 0;
}

/** The float32 of a key. */
export function keyedValue(key: number): number {
  bits[0] = key & 0x80000000 ? key & 0x7fffffff : ~key;
  return float[0] as number;
}

/** Histogram of the keys of a slab, for selecting order statistics exactly in two passes without sorting. */
export function countKeysSlab({ data, start, uppers, from, to }: CountKeysInput): KeyCounts {
  if (uppers === undefined) {
    const counts = new Uint32Array(65536);
    for (let i = start + from; i < start + to; i++) {
      const bin = orderedKey(data[i] as number) >>> 16;
      counts[bin] = (counts[bin] as number) + 1;
    }
    return [counts];
  }
  const histograms = uppers.map(() => new Uint32Array(65536));
  for (let i = start + from; i < start + to; i++) {
    const key = orderedKey(data[i] as number);
    const at = uppers.indexOf(key >>> 16);
    if (at < 0) continue;
    const counts = histograms[at] as Uint32Array;
    counts[key & 0xffff] = (counts[key & 0xffff] as number) + 1;
  }
  return histograms;
}
