import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { decodeFrame, type FrameDecodeInput } from '../../../../src/formats/dicom/frame-decoder.ts';
import { transferSyntax } from '../../../../src/formats/dicom/transfer-syntax.ts';
import { encodeHtj2k } from '../../../../src/formats/htj2k/encoder.ts';

const input = (
  bytes: Uint8Array,
  transferSyntaxUid: string,
  rest: Partial<FrameDecodeInput> = {},
): FrameDecodeInput => ({
  bytes,
  transferSyntaxUid,
  rows: 2,
  columns: 3,
  samplesPerPixel: 1,
  bitsAllocated: 16,
  bitsStored: 16,
  pixelRepresentation: 0,
  photometricInterpretation: 'MONOCHROME2',
  planarConfiguration: 0,
  ...rest,
});

const refused = (frame: FrameDecodeInput, message: RegExp) =>
  expect(decodeFrame(frame)).rejects.toMatchObject({
    code: 'unprocessable_image',
    message: expect.stringMatching(message),
  });

/** An RLE frame of literal runs (PS3.5 annex G). */
function rle(...segments: number[][]): Uint8Array {
  const header = Buffer.alloc(64);
  header.writeUInt32LE(segments.length, 0);
  const bodies = segments.map((segment) => Buffer.from([segment.length - 1, ...segment]));
  let offset = 64;
  bodies.forEach((body, at) => {
    header.writeUInt32LE(offset, 4 + at * 4);
    offset += body.length;
  });
  return Buffer.concat([header, ...bodies]);
}

describe('decodeFrame', () => {
  it('gives native frames as they are, and interleaves planes', async () => {
    const raw = Uint8Array.from({ length: 12 }, (_, at) => at);
    expect(await decodeFrame(input(raw, transferSyntax.explicitLittleEndian))).toEqual(raw);
    const planes = Uint8Array.of(1, 2, 3, 4, 5, 6);
    const rgb = {
      rows: 1,
      columns: 2,
      samplesPerPixel: 3,
      bitsAllocated: 8,
      bitsStored: 8,
      photometricInterpretation: 'RGB',
    };
    const byPlane = input(planes, transferSyntax.explicitLittleEndian, { ...rgb, planarConfiguration: 1 });
    expect([...(await decodeFrame(byPlane))]).toEqual([1, 3, 5, 2, 4, 6]);
  });

  it('decodes RLE: literal and repeated runs, most significant byte first', async () => {
    const frame = rle([1, 2, 3, 4, 5, 6], [16, 32, 48, 64, 80, 96]);
    const decoded = await decodeFrame(input(frame, transferSyntax.rle));
    expect([...new Uint16Array(new Uint8Array(decoded).buffer)]).toEqual([0x110, 0x220, 0x330, 0x440, 0x550, 0x660]);
    const runs = Buffer.concat([rle([0], [0]).subarray(0, 64), Buffer.from([251, 7]), Buffer.from([128, 251, 9])]);
    runs.writeUInt32LE(66, 8);
    expect([...new Uint16Array(new Uint8Array(await decodeFrame(input(runs, transferSyntax.rle))).buffer)]).toEqual(
      new Array(6).fill(0x709),
    );
  });

  it('refuses damaged RLE', async () => {
    const whole = rle([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]);
    await refused(input(whole.subarray(0, -1), transferSyntax.rle), /damaged|cut/);
    await refused(input(rle([1, 2, 3, 4, 5, 6, 7], [1, 2, 3, 4, 5, 6]), transferSyntax.rle), /damaged/);
    await refused(input(rle([1, 2, 3, 4, 5, 6]), transferSyntax.rle), /2 segments/);
  });

  it('decodes HTJ2K exactly and checks the CRC-32', async () => {
    const pixels = Buffer.from(Int16Array.from([-5, 4, 3000, -1000, 32767, -32768]).buffer);
    const info = { width: 3, height: 2, bitsAllocated: 16, samplesPerPixel: 1, signed: true } as const;
    const bytes = await encodeHtj2k(pixels, info);
    const frame = input(bytes, transferSyntax.htj2kLosslessRpcl, {
      pixelRepresentation: 1,
      expectedCrc32: crc32(pixels),
    });
    expect(Buffer.from(await decodeFrame(frame)).equals(pixels)).toBe(true);
    await refused({ ...frame, expectedCrc32: crc32(pixels) ^ 1 }, /CRC-32/);
  });

  it('takes the sign of PixelRepresentation, extended from the precision of the codestream', async () => {
    const twelveBits = Buffer.from(Uint16Array.from([0, 1, 2047, 2048, 4094, 4095]).buffer);
    const info = { width: 3, height: 2, bitsAllocated: 16, samplesPerPixel: 1, signed: false, bitsStored: 12 } as const;
    const bytes = await encodeHtj2k(twelveBits, info);
    const decoded = await decodeFrame(
      input(bytes, transferSyntax.htj2kLossless, { pixelRepresentation: 1, bitsStored: 12 }),
    );
    expect([...new Int16Array(new Uint8Array(decoded).buffer)]).toEqual([0, 1, 2047, -2048, -2, -1]);
  });

  it('refuses a codestream of another size before decoding it, a cut one, and one of no known syntax', async () => {
    const pixels = new Uint8Array(64 * 64 * 2).map((_, at) => at * 31);
    const info = { width: 64, height: 64, bitsAllocated: 16, samplesPerPixel: 1, signed: false } as const;
    const bytes = await encodeHtj2k(pixels, info);
    const size = { rows: 64, columns: 64 };
    await refused(input(bytes, transferSyntax.htj2kLossless), /declares 64×64×1 of 16 bits, the image 3×2×1 of 16/);
    await refused(input(bytes.subarray(0, bytes.length / 2), transferSyntax.htj2kLossless, size), /cut short/);
    await refused(input(Uint8Array.of(1, 2, 3), transferSyntax.jpeg2000Lossless, size), /no codestream/);
    await refused(input(Uint8Array.of(1, 2, 3), transferSyntax.jpegLsLossless, size), /no codestream/);
    await refused(input(pixels, '1.2.840.10008.1.2.4.51', size), /1\.2\.840\.10008\.1\.2\.4\.51 are not supported/);
    await refused(input(pixels.subarray(2), transferSyntax.implicitLittleEndian, size), /8190 decoded bytes/);
  });
});
