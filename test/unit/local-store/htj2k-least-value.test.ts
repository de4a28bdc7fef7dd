import { describe, expect, it } from 'vitest';
import { decodeHtj2k } from '../../../src/formats/htj2k/decoder.ts';
import { encodeHtj2k } from '../../../src/formats/htj2k/encoder.ts';

describe.each([
  [1, 1],
  [10, 50],
  [64, 64],
])('a small frame (%i×%i) of the least value, which the codec loses without a wavelet level', (width, height) => {
  const comesBack = async (pixels: Uint8Array, bitsAllocated: 8 | 16, samplesPerPixel: 1 | 3, signed: boolean) => {
    const encoded = await encodeHtj2k(pixels, { width, height, bitsAllocated, samplesPerPixel, signed });
    expect((await decodeHtj2k(encoded)).pixels).toEqual(pixels);
  };
  const count = width * height;

  it('comes back from 16 bits signed', () =>
    comesBack(new Uint8Array(new Int16Array(count).fill(-32_768).buffer), 16, 1, true));
  it('comes back from 16 bits', () => comesBack(new Uint8Array(count * 2), 16, 1, false));
  it('comes back from 8 bits', () => comesBack(new Uint8Array(count), 8, 1, false));
  it('comes back from colour', () => comesBack(new Uint8Array(count * 3), 8, 3, false));
});
