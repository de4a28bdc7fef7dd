import type { VoxelArray } from '../../imaging/volume.ts';
import type { KernelArray } from './shared-arrays.ts';
import type { Slab } from './slabs.ts';

/** What values become: whole numbers without their fraction, wrapped as in C; half precision; zero or one. */
export type CastKind = 'float16' | 'int8' | 'uint8' | 'int16' | 'uint16' | 'int32' | 'uint32' | 'int64' | 'bool';

export interface CastInput extends Slab {
  readonly source: VoxelArray;
  readonly starts: readonly number[];
  readonly target: KernelArray;
  readonly targetStarts: readonly number[];
  readonly kind: CastKind;
}

/** Casts a slab of every channel. */
export function castSlab({ source, starts, target, targetStarts, kind, from, to }: CastInput): void {
  const convert = converters[kind];
  starts.forEach((start, c) => {
    const shift = (targetStarts[c] as number) - start;
    for (let i = start + from; i < start + to; i++) target[i + shift] = convert(source[i] as number);
  });
}

const converters: Readonly<Record<CastKind, (value: number) => number>> = {
  float16: roundToHalf,
  int8: (value) => (value << 24) >> 24,
  uint8: (value) => value & 0xff,
  int16: (value) => (value << 16) >> 16,
  uint16: (value) => value & 0xffff,
  int32: (value) => value | 0,
  uint32: (value) => value >>> 0,
  int64: (value) => Math.trunc(value) + 0,
  bool: (value) => (value === 0 ? 0 : 1),
};

/** The nearest number that half precision holds, halves to even; beyond 65,504 infinity. */
export function roundToHalf(value: number): number {
  const size = Math.abs(value);
  if (!(size > 0) || size === Number.POSITIVE_INFINITY) return value;
  const exponent = Math.max(Math.floor(Math.log2(size)), -14);
  const step = 2 ** (exponent - 10);
  const scaled = size / step;
  const floor = Math.floor(scaled);
  const rest = scaled - floor;
  const whole = rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
  const rounded = whole * step;
  return Math.sign(value) * (rounded > 65_504 ? Number.POSITIVE_INFINITY : rounded);
}
