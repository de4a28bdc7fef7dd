import { describe, expect, it } from 'vitest';
import { fromHalf, toHalf } from '../../../src/imaging/float16.ts';

const half = (value: number): number => {
  const bits = new Uint16Array(1);
  toHalf(Float32Array.of(value), bits);
  return bits[0] as number;
};

describe('half precision', () => {
  it('keeps every half as it is', () => {
    const bits = Uint16Array.from({ length: 65_536 }, (_, n) => n);
    const values = new Float32Array(65_536);
    fromHalf(bits, values);
    const back = new Uint16Array(65_536);
    toHalf(values, back);
    for (let n = 0; n < 65_536; n++) {
      if (Number.isNaN(values[n])) expect(Number.isNaN((back[n] as number) & 0x7c00 ? Number.NaN : 0)).toBe(true);
      else expect(back[n]).toBe(n);
    }
  });

  it.each([
    [1, 0x3c00],
    [-2, 0xc000],
    [65_504, 0x7bff],
    [65_519, 0x7bff],
    [65_520, 0x7c00],
    [-1e9, 0xfc00],
    [2 ** -24, 0x0001],
    [2 ** -25, 0x0000],
    [2 ** -25 * 1.0001, 0x0001],
    [2 ** -14 - 2 ** -26, 0x0400],
    [1 + 2 ** -11, 0x3c00],
    [1 + 3 * 2 ** -11, 0x3c02],
    [-0, 0x8000],
    [Number.NaN, 0x7e00],
    [Number.POSITIVE_INFINITY, 0x7c00],
  ])('rounds %f to the nearest, ties to even', (value, bits) => expect(half(value)).toBe(bits));
});
