import { crc32 } from 'node:zlib';
import factory from '@cornerstonejs/codec-openjpeg/decodewasmjs';
import { beforeAll, describe, expect, it } from 'vitest';
import type { WasmDecoder } from '../../../../src/formats/dicom/codec-module.ts';
import { decodeFrameAtLevel } from '../../../../src/formats/dicom/frame-decoder.ts';
import { transferSyntax } from '../../../../src/formats/dicom/transfer-syntax.ts';
import { encodeHtj2k } from '../../../../src/formats/htj2k/encoder.ts';

interface OpenJpegDecoder extends WasmDecoder {
  decodeSubResolution(level: number, layer: number): void;
}

const [columns, rows] = [300, 261];
const format = {
  rows,
  columns,
  samplesPerPixel: 1,
  bitsAllocated: 16,
  bitsStored: 16,
  pixelRepresentation: 1,
  photometricInterpretation: 'MONOCHROME2',
  planarConfiguration: 0,
  transferSyntaxUid: transferSyntax.htj2kLosslessRpcl as string,
} as const;
let bytes: Uint8Array;

/** The same codestream at a level, by the other codec: OpenJPEG. */
async function byOpenJpeg(level: number): Promise<Buffer> {
  const module = await factory({ print: () => {}, printErr: () => {} });
  const Decoder = module.J2KDecoder as unknown as new () => OpenJpegDecoder;
  const decoder = new Decoder();
  decoder.getEncodedBuffer(bytes.length).set(bytes);
  decoder.decodeSubResolution(level, 0);
  const { buffer, byteOffset, byteLength } = decoder.getDecodedBuffer();
  const pixels = Buffer.from(Buffer.from(buffer, byteOffset, byteLength));
  decoder.delete();
  return pixels;
}

beforeAll(async () => {
  const pixels = Int16Array.from({ length: rows * columns }, (_, at) =>
    Math.round(800 * Math.sin(at / 97) + 500 * Math.cos((at % columns) / 13) - 200),
  );
  const size = { width: columns, height: rows, bitsAllocated: 16, samplesPerPixel: 1, signed: true } as const;
  bytes = await encodeHtj2k(new Uint8Array(pixels.buffer), size);
});

describe('decodeFrameAtLevel', () => {
  it.each([
    [0, 300, 261],
    [1, 150, 131],
    [2, 75, 66],
    [3, 38, 33],
  ])('level %i of an RPCL codestream is bit for bit what OpenJPEG makes of it', async (level, width, height) => {
    const decoded = await decodeFrameAtLevel({ frame: { ...format, bytes }, resolutionLevel: level });
    expect([decoded.columns, decoded.rows]).toEqual([width, height]);
    expect(Buffer.compare(decoded.pixels, await byOpenJpeg(level))).toBe(0);
  });

  it('holds a level against the checksum that is told of its size', async () => {
    const frame = { ...format, bytes };
    const { pixels } = await decodeFrameAtLevel({ frame, resolutionLevel: 2 });
    const told = (checksum: number) => ({
      frame,
      resolutionLevel: 2,
      levels: [
        { width: 75, height: 66, crc32: checksum },
        { width: 300, height: 261, crc32: 1 },
      ],
    });
    await expect(decodeFrameAtLevel(told(crc32(pixels)))).resolves.toMatchObject({ rows: 66 });
    await expect(decodeFrameAtLevel(told(crc32(pixels) ^ 1))).rejects.toMatchObject({
      code: 'unprocessable_image',
      message: expect.stringContaining('CRC-32'),
    });
  });

  it('refuses a level that the codestream has not, a cut one, and syntaxes without levels by name', async () => {
    const refused = (frame: object, resolutionLevel: number, message: string) =>
      expect(decodeFrameAtLevel({ frame: { ...format, bytes, ...frame }, resolutionLevel })).rejects.toMatchObject({
        code: 'unprocessable_image',
        message: expect.stringContaining(message),
      });
    await refused({}, 9, 'levels 0 to 3, not 9');
    await refused({ bytes: bytes.subarray(0, bytes.length >> 1) }, 2, 'cut short');
    await refused({ transferSyntaxUid: transferSyntax.jpegBaseline }, 1, transferSyntax.jpegBaseline);
  });
});
