import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, describe, expect, it } from 'vitest';
import { writeParts } from '../../../src/local-store/dicomweb/multipart-request.ts';

const folder = mkdtempSync(join(tmpdir(), 'parts-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let test = 0;

async function parts(body: string, chunkSize: number, maxBytes = 1e6): Promise<[string, string][]> {
  const prefix = join(folder, String(test++));
  const bytes = Buffer.from(body, 'latin1');
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += chunkSize) chunks.push(bytes.subarray(at, at + chunkSize));
  const types = await writeParts(Readable.from(chunks), 'b', (number) => `${prefix}-${number}`, maxBytes);
  return types.map((type, number) => [type, readFileSync(`${prefix}-${number}`, 'latin1')]);
}

const body = '--b\r\nContent-Type: application/dicom\r\nX: y\r\n\r\none\r\n-two\r\n--b\r\n\r\n\0\xff--b\r\n--b--\r\n';

describe('the parts of a multipart body', () => {
  it.each([1, 2, 3, 7, 1000])('are the same in chunks of %i bytes', async (size) => {
    expect(await parts(body, size)).toEqual([
      ['application/dicom', 'one\r\n-two'],
      ['', '\0\xff--b'],
    ]);
  });

  it.each([body.slice(0, -6), body.slice(0, 60), '', 'no parts'])(
    'are refused when the body is cut (%#)',
    async (cut) => {
      await expect(parts(cut, 5)).rejects.toMatchObject({ name: 'ValidationException' });
    },
  );

  it('are refused beyond the limit', async () => {
    await expect(parts(body, 5, 50)).rejects.toMatchObject({ name: 'ValidationException' });
  });
});
