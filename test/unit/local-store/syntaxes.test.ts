import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readPart10 } from '../../../src/formats/dicom/part10-reader.ts';
import { writePart10 } from '../../../src/formats/dicom/part10-writer.ts';
import { encapsulate } from '../../../src/formats/dicom/pixel-data.ts';
import { transferSyntax } from '../../../src/formats/dicom/transfer-syntax.ts';
import { decodeHtj2k } from '../../../src/formats/htj2k/decoder.ts';
import { encodeHtj2k } from '../../../src/formats/htj2k/encoder.ts';
import { openJph } from '../../../src/formats/htj2k/openjph.ts';
import { importFile } from '../../../src/local-store/import/import-file-task.ts';
import { ctSlice, part10 } from '../../support/local-store/dicom-file.ts';

const folder = mkdtempSync(join(tmpdir(), 'syntaxes-'));
afterAll(() => rmSync(folder, { recursive: true }));

const size = { width: 64, height: 48, bitsAllocated: 16 as const, samplesPerPixel: 1 as const, signed: true };
const pixels = ctSlice(1)[0x7fe00010]?.[1] as Uint8Array;

/** Takes a file with one frame of a syntax, as an import job does. */
async function take(frame: Uint8Array, transferSyntaxUid: string, name: string) {
  const { dataset } = readPart10(part10(ctSlice(1)));
  const uids = { sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid: '2.25.1000.3.1' };
  const pixelData = encapsulate([frame]);
  writeFileSync(join(folder, name), writePart10(dataset, { ...uids, transferSyntaxUid, pixelData }));
  const target = join(folder, `${name}-taken`);
  const outcome = await importFile({ sourcePath: join(folder, name), target, bytesPerFile: 1e9 });
  const stored = () => ({
    ...(JSON.parse(readFileSync(`${target}.json`, 'utf8')) as {
      storedTransferSyntaxUid?: string;
      frames: { entry: { PixelDataChecksumFromBaseToFullResolution: { Checksum: number }[] } }[];
    }),
    bytes: new Uint8Array(readFileSync(`${target}.frames`)),
  });
  return { outcome, stored };
}

describe('an import of', () => {
  it.each([
    ['12-bit JPEG', '1.2.840.10008.1.2.4.51'],
    ['multi-component JPEG 2000, lossless', '1.2.840.10008.1.2.4.92'],
    ['multi-component JPEG 2000', '1.2.840.10008.1.2.4.93'],
  ])('%s is refused by name: no codec here is exact for it', async (_name, syntax) => {
    const { outcome } = await take(await encodeHtj2k(pixels, size), syntax, syntax);
    expect(outcome).toMatchObject({ kind: 'failed', exceptionType: 'ValidationException' });
    expect(outcome).toMatchObject({ message: expect.stringContaining(syntax) });
  });

  it('lossless HTJ2K (….201) is stored as RPCL, pixel for pixel', async () => {
    const { outcome, stored } = await take(await encodeHtj2k(pixels, size), transferSyntax.htj2kLossless, '201');
    expect(outcome.kind).toBe('staged');
    const { bytes, frames, storedTransferSyntaxUid } = stored();
    expect(storedTransferSyntaxUid).toBeUndefined();
    expect(Buffer.from((await decodeHtj2k(bytes)).pixels)).toEqual(Buffer.from(pixels));
    expect(frames[0]?.entry.PixelDataChecksumFromBaseToFullResolution.at(-1)?.Checksum).toBe(crc32(pixels));
  });

  it('lossy HTJ2K (….203) is kept as it came, with the checksum of what it decodes to', async () => {
    const lossy = await encodeLossy();
    const decoded = (await decodeHtj2k(lossy)).pixels;
    expect(Buffer.compare(decoded, pixels)).not.toBe(0);
    const { outcome, stored } = await take(lossy, transferSyntax.htj2k, '203');
    expect(outcome.kind).toBe('staged');
    const { bytes, frames, storedTransferSyntaxUid } = stored();
    expect(storedTransferSyntaxUid).toBe(transferSyntax.htj2k);
    expect(Buffer.from(bytes.subarray(0, lossy.length))).toEqual(Buffer.from(lossy));
    expect(frames[0]?.entry.PixelDataChecksumFromBaseToFullResolution.at(-1)?.Checksum).toBe(crc32(decoded));
  });
});

async function encodeLossy(): Promise<Uint8Array> {
  const encoder = new (await openJph()).HTJ2KEncoder();
  const info = {
    width: 64,
    height: 48,
    bitsPerSample: 16,
    componentCount: 1,
    isSigned: true,
    isUsingColorTransform: false,
  };
  encoder.getDecodedBuffer(info).set(pixels);
  encoder.setQuality(false, 0.001);
  encoder.encode();
  const bytes = encoder.getEncodedBuffer().slice();
  encoder.delete();
  return bytes;
}
