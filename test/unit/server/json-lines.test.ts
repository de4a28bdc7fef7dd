import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isJsonLines, readLines } from '../../../src/server/json-lines.ts';

const dir = mkdtempSync(join(tmpdir(), 'lines-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const read = async (text: string, maxLines = 100) => {
  const { lines, isTerminated } = await readLines({ bytes: Buffer.from(text) }, maxLines);
  return { lines: lines.map((line) => Buffer.from(line).toString()), isTerminated };
};

describe('JSON Lines', () => {
  it.each([
    ['a\nb', ['a', 'b'], false],
    ['a\nb\n', ['a', 'b'], true],
    ['a\r\nb\r\n', ['a', 'b'], true],
    ['a\n\nb\n', ['a', '', 'b'], true],
    ['\na', ['', 'a'], false],
    ['a\n\n', ['a', ''], true],
    ['\n', [''], true],
  ])('%j is %j, ended: %j', async (text, lines, isTerminated) => {
    expect(await read(text)).toEqual({ lines, isTerminated });
  });

  it('are the same from a file, wherever its chunks are cut', async () => {
    const lines = Array.from({ length: 30_000 }, (_, n) => `${n}-${'x'.repeat(n % 17)}`);
    writeFileSync(join(dir, 'body'), `${lines.join('\n')}\n`);
    const found = await readLines({ path: join(dir, 'body') }, 30_000);
    expect(found.lines.map((line) => Buffer.from(line).toString())).toEqual(lines);
    expect(found.isTerminated).toBe(true);
  });

  it('are refused when there is none, or more than may be', async () => {
    await expect(read('')).rejects.toMatchObject({ code: 'invalid_request' });
    await expect(read('a\nb\nc', 2)).rejects.toMatchObject({
      code: 'payload_too_large',
      message: expect.stringContaining('MAX_BATCH_LINES'),
    });
    expect((await read('a\nb\n', 2)).lines).toHaveLength(2);
  });

  it.each([
    ['application/jsonlines', true],
    ['Application/X-NDJSON; charset=utf-8', true],
    ['application/jsonl', true],
    ['application/zip, application/jsonlines', true],
    ['application/json', false],
    [undefined, false],
  ])('are the type %j: %j', (type, is) => {
    expect(isJsonLines(type)).toBe(is);
  });
});
