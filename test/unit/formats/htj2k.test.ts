import { describe, expect, it } from 'vitest';
import { decodeHtj2k } from '../../../src/formats/htj2k/decoder.ts';
import { decompositionsFor, encodeHtj2k, type Htj2kFrameInfo } from '../../../src/formats/htj2k/encoder.ts';

/** A linear congruential sequence: full-range bytes that are the same in every run. */
function noise(length: number): Uint8Array {
  let state = 12345;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 24;
  });
}

const frame = (width: number, height: number, bitsAllocated: 8 | 16, signed: boolean, samplesPerPixel: 1 | 3 = 1) =>
  ({ width, height, bitsAllocated, signed, samplesPerPixel }) satisfies Htj2kFrameInfo;

describe('HTJ2K', () => {
  it.each([
    frame(1, 1, 8, false),
    frame(3, 5, 16, false),
    frame(122, 101, 16, true),
    frame(300, 70, 16, true),
    frame(64, 64, 8, false, 3),
    frame(200, 130, 8, false),
  ])(
    'is lossless for full-range noise: $width×$height×$samplesPerPixel, $bitsAllocated bits, signed $signed',
    async (info) => {
      const pixels = noise((info.width * info.height * info.samplesPerPixel * info.bitsAllocated) / 8);
      const decoded = await decodeHtj2k(await encodeHtj2k(pixels, info));
      expect(Buffer.compare(decoded.pixels, pixels)).toBe(0);
      expect([decoded.width, decoded.height, decoded.signed]).toEqual([info.width, info.height, info.signed]);
    },
  );

  it('refuses signed bytes, which OpenJPEG would read clipped', async () => {
    await expect(encodeHtj2k(noise(64), frame(8, 8, 8, true))).rejects.toThrow(/signed samples of 8 bits/);
  });

  it('writes RPCL with TLM and a lowest resolution of at most 64 (PS3.5 §10.18)', async () => {
    const bytes = await encodeHtj2k(noise(512 * 300), frame(512, 300, 8, false));
    const at = (marker: number) => Buffer.from(bytes).indexOf(Buffer.from([0xff, marker]));
    const cod = at(0x52);
    expect(bytes[cod + 5]).toBe(2);
    expect(bytes[cod + 9]).toBe(decompositionsFor(512, 300));
    expect(at(0x55)).toBeGreaterThan(0);
    expect(Math.ceil(300 / 2 ** decompositionsFor(512, 300))).toBeLessThanOrEqual(64);
    expect(decompositionsFor(64, 9999)).toBe(0);
  });

  it('decodes lower resolutions, and refuses levels that are not there', async () => {
    const bytes = await encodeHtj2k(noise(256 * 256 * 2), frame(256, 256, 16, true));
    const low = await decodeHtj2k(bytes, 2);
    expect([low.width, low.height, low.pixels.length]).toEqual([64, 64, 8192]);
    await expect(decodeHtj2k(bytes, 3)).rejects.toThrow(/levels 0 to 2/);
  });

  it('refuses what it cannot keep exactly, wrong lengths, and pixels beyond bitsStored', async () => {
    const colour = { ...frame(8, 8, 16, false, 3) };
    await expect(encodeHtj2k(noise(8 * 8 * 6), colour)).rejects.toMatchObject({ code: 'unprocessable_image' });
    await expect(encodeHtj2k(noise(10), frame(8, 8, 8, false))).rejects.toThrow(/10 bytes, its layout needs 64/);
    await expect(encodeHtj2k(noise(64), { ...frame(8, 8, 8, false), bitsStored: 4 })).rejects.toThrow(
      /outside the 4 bits/,
    );
  });

  it('refuses garbage and a header that promises billions of pixels', async () => {
    await expect(decodeHtj2k(new Uint8Array(0))).rejects.toMatchObject({ code: 'unprocessable_image' });
    await expect(decodeHtj2k(noise(500))).rejects.toMatchObject({ code: 'unprocessable_image' });
    const bomb = Buffer.from(await encodeHtj2k(noise(64), frame(8, 8, 8, false)));
    for (const at of [8, 12, 24, 28]) bomb.writeUInt32BE(0x7fffffff, at);
    await expect(decodeHtj2k(bomb)).rejects.toMatchObject({ code: 'unprocessable_image' });
  });
});
