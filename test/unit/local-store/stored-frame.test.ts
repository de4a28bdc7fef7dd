import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { ImagePixelFormat } from '../../../src/formats/dicom/image-pixel.ts';
import { decodeHtj2k } from '../../../src/formats/htj2k/decoder.ts';
import type { FramePlan, FrameStorage } from '../../../src/local-store/import/frame-plan.ts';
import { storeFrame } from '../../../src/local-store/import/stored-frame.ts';
import { valueRange } from '../../../src/local-store/import/value-range.ts';

const gray16: ImagePixelFormat = {
  rows: 300,
  columns: 520,
  samplesPerPixel: 1,
  bitsAllocated: 16,
  bitsStored: 12,
  pixelRepresentation: 1,
  photometricInterpretation: 'MONOCHROME2',
  planarConfiguration: 0,
};
const planOf = (format: ImagePixelFormat, bytes: Uint8Array, storage: FrameStorage = 'htj2k'): FramePlan => ({
  storage,
  numberOfFrames: 1,
  format,
  frame: () => bytes,
  receivedSyntaxUid: '1.2.840.10008.1.2.1',
  isFloat: false,
  changedAttributes: {},
});
const samples = (count: number, value: (index: number) => number): Uint8Array =>
  new Uint8Array(Int16Array.from({ length: count }, (_, index) => value(index)).buffer);

describe('storeFrame', () => {
  it('lists the checksum of every resolution down to 128 pixels, lowest first', async () => {
    const pixels = samples(300 * 520, (index) => ((index * 7919) % 4096) - 2048);
    const { bytes, entry } = await storeFrame(planOf(gray16, pixels), 0);
    const sizes = entry.PixelDataChecksumFromBaseToFullResolution.map(({ Width, Height }) => [Width, Height]);
    expect(sizes).toEqual([
      [260, 150],
      [520, 300],
    ]);
    for (const [level, { Checksum }] of entry.PixelDataChecksumFromBaseToFullResolution.toReversed().entries()) {
      expect(crc32((await decodeHtj2k(bytes, level)).pixels)).toBe(Checksum);
    }
    expect(entry).toMatchObject({ MinPixelValue: -2048, MaxPixelValue: 2047, FrameSizeInBytes: pixels.length });
    expect((await decodeHtj2k(bytes)).bitsPerSample).toBe(12);
  });

  it('keeps bits above BitsStored: the codestream is as deep as the container then', async () => {
    const pixels = samples(300 * 520, (index) => (index % 2 === 0 ? 0x7000 : 5));
    const { bytes, entry } = await storeFrame(planOf(gray16, pixels), 0);
    const decoded = await decodeHtj2k(bytes);
    expect(Buffer.compare(decoded.pixels, pixels)).toBe(0);
    expect(decoded.bitsPerSample).toBe(16);
    expect(entry).toMatchObject({ MinPixelValue: 0, MaxPixelValue: 5 });
  });

  it('gives two bytes a sample for 8 of 16 bits', async () => {
    const pixels = samples(300 * 520, (index) => index % 128);
    const { bytes } = await storeFrame(planOf({ ...gray16, bitsStored: 8 }, pixels), 0);
    expect((await decodeHtj2k(bytes)).pixels).toEqual(pixels);
  });

  it('stores uncompressed what the codec cannot hold', async () => {
    const format = { ...gray16, rows: 64, columns: 64, bitsStored: 16, samplesPerPixel: 3 };
    const pixels = samples(64 * 64 * 3, (index) => (index * 7919) % 65536);
    await expect(storeFrame(planOf(format, pixels), 0)).rejects.toThrow();
    const { bytes, entry } = await storeFrame(planOf(format, pixels, 'uncompressed'), 0);
    expect(bytes).toEqual(pixels);
    expect(entry.PixelDataChecksumFromBaseToFullResolution).toEqual([
      { Width: 64, Height: 64, Checksum: crc32(pixels) },
    ]);
  });

  it('refuses a frame of the wrong length', async () => {
    await expect(storeFrame(planOf(gray16, new Uint8Array(100)), 0)).rejects.toMatchObject({
      code: 'unprocessable_image',
    });
  });
});

describe('valueRange', () => {
  const range = (bytes: Uint8Array, change: Partial<ImagePixelFormat>, isFloat = false) =>
    valueRange(bytes, { ...gray16, rows: 1, columns: 2, ...change }, isFloat);

  it.each([
    [
      'signed with sign extension',
      samples(2, (index) => (index ? -3 : 7)),
      {},
      { min: -3, max: 7, fitsBitsStored: true },
    ],
    ['signed without', Uint8Array.of(0xfd, 0x0f, 7, 0), {}, { min: -3, max: 7, fitsBitsStored: false }],
    ['unsigned', Uint8Array.of(255, 255, 1, 0), { pixelRepresentation: 0, bitsStored: 16 }, { min: 1, max: 65535 }],
    [
      '8 bits',
      Uint8Array.of(200, 3),
      { bitsAllocated: 8, bitsStored: 8, pixelRepresentation: 0 },
      { min: 3, max: 200 },
    ],
    ['single bits, the padding aside', Uint8Array.of(0b1111_1100), { bitsAllocated: 1 }, { min: 0, max: 0 }],
    ['set bits', Uint8Array.of(0b11), { bitsAllocated: 1 }, { min: 1, max: 1 }],
  ] as const)('%s', (_name, bytes, change, expected) => {
    expect(range(bytes, change)).toMatchObject(expected);
  });

  it('takes floats and passes over NaN', () => {
    const bytes = new Uint8Array(Float32Array.of(Number.NaN, -1.5).buffer);
    expect(range(bytes, { bitsAllocated: 32, bitsStored: 32 }, true)).toMatchObject({ min: -1.5, max: -1.5 });
  });
});
