import { createWriteStream, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { gzipSync } from 'node:zlib';
import { encode } from 'fast-png';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { BodySource } from '../../../src/connectors/body/body-source.ts';
import { unpackZip } from '../../../src/connectors/zip-files.ts';
import { writeNifti } from '../../../src/formats/nifti/writer.ts';
import { testPart10 } from '../../support/connectors/part10-files.ts';
import { regularSlices } from '../../support/connectors/test-series.ts';

const root = mkdtempSync(join(tmpdir(), 'body-source-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let path: string;
let scratchDir: string;
let count = 0;
beforeEach(() => {
  path = join(root, `body-${count}`);
  scratchDir = join(root, `scratch-${count++}`);
});
const signal = new AbortController().signal;
const open = (contentType: string) => new BodySource().open({ body: { path, contentType } }, { signal, scratchDir });
const slices = regularSlices(3).map((slice, index) => Buffer.from(testPart10(slice, index)));

async function writeZip(entries: Record<string, Uint8Array>): Promise<void> {
  const zip = new ZipFile();
  for (const [name, bytes] of Object.entries(entries)) zip.addBuffer(Buffer.from(bytes), name);
  zip.end();
  await pipeline(zip.outputStream, createWriteStream(path));
}

/** Replaces bytes of the written zip, for what no writer makes. */
function patch(find: Uint8Array | string, by: Uint8Array | string): void {
  const bytes = readFileSync(path);
  let at = bytes.indexOf(find);
  expect(at).toBeGreaterThanOrEqual(0);
  for (; at >= 0; at = bytes.indexOf(find, at + 1)) Buffer.from(by).copy(bytes, at);
  writeFileSync(path, bytes);
}

describe('a zip', () => {
  it('is read whatever its entries are called, into the scratch folder alone', async () => {
    await writeZip({
      'a/IM0001': slices[0]!,
      'b/IM0001': slices[1]!,
      'c d/ü': slices[2]!,
      'a/README.txt': Buffer.from('x'),
      '__MACOSX/._a': slices[0]!,
    });
    const loaded = await open('application/zip');
    expect(loaded.kind === 'dicom' && loaded.series.map(({ instances }) => instances.length)).toEqual([3]);
    expect(readdirSync(join(scratchDir, 'zip')).every((name) => /^\d{6}$/.test(name))).toBe(true);
  });

  it.each(['../../evil', '/etc/evil', 'a/../../evil'])('with an entry called %s is refused', async (name) => {
    await writeZip({ [name.replaceAll('.', 'x').replaceAll('/', 'y')]: slices[0]! });
    patch(name.replaceAll('.', 'x').replaceAll('/', 'y'), name);
    await expect(open('application/zip')).rejects.toMatchObject({ code: 'unprocessable_image' });
    expect(readdirSync(root)).not.toContain('evil');
  });

  it('that is cut is refused', async () => {
    await writeZip({ a: slices[0]!, b: slices[1]! });
    writeFileSync(path, readFileSync(path).subarray(0, -40));
    await expect(open('application/zip')).rejects.toMatchObject({ code: 'unprocessable_image' });
  });

  it('with a wrong checksum is refused', async () => {
    const zip = new ZipFile();
    zip.addBuffer(slices[0]!, 'a', { compress: false });
    zip.end();
    await pipeline(zip.outputStream, createWriteStream(path));
    patch('MONOCHROME2', 'MONOCHROME1');
    await expect(open('application/zip')).rejects.toMatchObject({
      code: 'unprocessable_image',
      message: expect.stringContaining('checksum'),
    });
  });

  it('with more bytes or entries than are allowed is refused before they are written', async () => {
    await writeZip({ a: Buffer.alloc(50_000_000), b: Buffer.alloc(50_000_000) });
    const limits = { maxEntries: 10, maxBytes: 2 ** 40 };
    await expect(unpackZip(path, scratchDir, limits, signal)).rejects.toMatchObject({ code: 'payload_too_large' });
    await writeZip({ a: slices[0]!, b: slices[1]!, c: slices[2]! });
    await expect(unpackZip(path, `${scratchDir}-2`, { ...limits, maxEntries: 2 }, signal)).rejects.toMatchObject({
      code: 'payload_too_large',
    });
  });

  it('that holds something that may be a damaged slice is refused', async () => {
    await writeZip({ a: slices[0]!, b: slices[1]!.subarray(200) });
    await expect(open('application/zip')).rejects.toMatchObject({
      code: 'unprocessable_image',
      message: expect.stringContaining('1 of 2'),
    });
  });

  it('that holds a cut slice is refused', async () => {
    await writeZip({ a: slices[0]!, b: slices[1]!.subarray(0, -10) });
    await expect(open('application/zip')).rejects.toMatchObject({ code: 'unprocessable_image' });
  });
});

describe('multipart/related', () => {
  const contentType = 'multipart/related; boundary="b"; type="application/dicom"';
  const parts = (bodies: Uint8Array[], header = 'Content-Type: application/dicom\r\n', end = '--b--') =>
    writeFileSync(
      path,
      Buffer.concat([
        ...bodies.flatMap((body) => [Buffer.from(`--b\r\n${header}\r\n`), body, Buffer.from('\r\n')]),
        Buffer.from(end),
      ]),
    );

  it('finds parts that hold the boundary as data, and across the edges of its reads', async () => {
    const { findMultipartParts } = await import('../../../src/connectors/body/multipart-parts.ts');
    const bodies = [
      Buffer.from('--b inside, \r\n--bx too'),
      Buffer.alloc(1024 * 1024 - 60, 1),
      Buffer.from('last'),
      Buffer.alloc(3_000_000, 2),
    ];
    parts(bodies);
    const found = await findMultipartParts(path, 'b');
    const bytes = readFileSync(path);
    expect(found.map(({ start, end }) => bytes.subarray(start, end).equals(bodies.shift() as Buffer))).toEqual([
      true,
      true,
      true,
      true,
    ]);
  });

  it('gives the series', async () => {
    parts(slices);
    const loaded = await open(contentType);
    expect(loaded.kind === 'dicom' && loaded.series[0]?.instances.length).toBe(3);
    const frame = loaded.kind === 'dicom' ? await loaded.series[0]!.instances[2]!.readFrame(0, signal) : undefined;
    expect(frame?.bytes.length).toBe(24);
  });

  it.each<[string, () => void, string]>([
    ['without an end', () => parts(slices, undefined, ''), 'invalid_request'],
    ['without a part', () => writeFileSync(path, '--b--'), 'invalid_request'],
    ['with a part of another type', () => parts(slices, 'Content-Type: text/html\r\n'), 'unsupported_media_type'],
    [
      'with a header that does not end',
      () => writeFileSync(path, `--b\r\nX: ${'y'.repeat(20_000)}\r\n--b--`),
      'invalid_request',
    ],
  ])('%s is refused', async (_name, write, code) => {
    write();
    await expect(open(contentType)).rejects.toMatchObject({ code });
  });

  it('of another type, or without a boundary, is refused', async () => {
    parts(slices);
    await expect(open('multipart/related; type="text/html"; boundary=b')).rejects.toMatchObject({
      code: 'unsupported_media_type',
    });
    await expect(open('multipart/related; type="application/dicom"')).rejects.toMatchObject({
      code: 'invalid_request',
    });
  });
});

describe('other bodies', () => {
  const volume = {
    data: Int16Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    shape: [2, 2, 2],
    affineRas: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
  } as const;

  it.each(['application/octet-stream', 'image/png'])('PNG as %s, a plane for each colour', async (contentType) => {
    writeFileSync(path, encode({ width: 2, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6) }));
    const loaded = await open(contentType);
    const channels = loaded.kind === 'volume' ? (loaded.channels ?? []) : [];
    expect(channels.map(({ data, shape, isPlane }) => [...data, ...shape, isPlane])).toEqual([
      [1, 4, 2, 1, 1, true],
      [2, 5, 2, 1, 1, true],
      [3, 6, 2, 1, 1, true],
    ]);
  });

  it.each(['application/octet-stream', 'application/x-nifti', 'application/gzip'])(
    'NIfTI as %s',
    async (contentType) => {
      writeFileSync(path, await writeNifti(volume));
      const loaded = await open(contentType);
      expect(loaded.kind === 'volume' && [...loaded.volume.data]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
    },
  );

  it('one DICOM object', async () => {
    writeFileSync(path, slices[0]!);
    await expect(open('application/dicom')).resolves.toMatchObject({ kind: 'dicom' });
  });

  it.each<[string, Uint8Array | string, string]>([
    ['text/plain', 'hello', 'unsupported_media_type'],
    ['image/jpeg', 'hello', 'unsupported_media_type'],
    ['image/png', 'hello, this is nothing that can be read', 'unprocessable_image'],
    ['application/zip', 'no zip at all', 'unsupported_media_type'],
    ['application/octet-stream', 'hello, this is nothing that can be read', 'unprocessable_image'],
    ['application/gzip', gzipSync('hello'), 'unprocessable_image'],
    ['application/octet-stream', '', 'input_not_found'],
  ])('%s of %j', async (contentType, bytes, code) => {
    writeFileSync(path, bytes);
    await expect(open(contentType)).rejects.toMatchObject({ code });
  });
});
