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
  starts.forEach((start, c) => {
    loops[kind](source, target, start + from, start + to, (targetStarts[c] as number) - start);
  });
}

type Loop = (source: VoxelArray, target: KernelArray, from: number, to: number, shift: number) => void;

// One loop for each type: a call for each voxel would cost more than the cast.
const loops: Readonly<Record<CastKind, Loop>> = {
  float16: (source, target, from, to, shift) => {
    for (let i = from; i < to; i++) target[i + shift] = roundToHalf(source[i] as number);
  },
  int8: (source, target, from, to, shift) => {
    for (let i = from; i < to; i++) target[i + shift] = ((source[i] as number) << 24) >> 24;
  },
  uint8: (source, target, from, to, shift) => {
    for (let i = from; i < to; i++) target[i + shift] = (source[i] as number) & 0xff;
  },
  int16: (source, target, from, to, shift) => {
    for (let i = from; i < to; i++) target[i + shift] = ((source[i] as number) << 16) >> 16;
  },
  uint16: (source, target, from, to, shift) => {
    for (let i = from; i < to; i++) target[i + shift] = (source[i] as number) & 0xffff;
  },
  int32: (source, target, from, to, shift) => {
    for (let i = from; i < to; i++) target[i + shift] = (source[i] as number) | 0;
  },
  uint32: (source, target, from, to, shift) => {
    for (let i = from; i < to; i++) target[i + shift] = (source[i] as number) >>> 0;
  },
  int64: (source, target, from, to, shift) => {
    for (let i = from; i < to; i++) target[i + shift] = Math.trunc(source[i] as number) + 0;
  },
  bool: (source, target, from, to, shift) => {
    for (let i = from; i < to; i++) target[i + shift] = source[i] === 0 ? 0 : 1;
  },
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
