import { mkdtempSync, readFileSync, rmSync, type WriteStream } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, expect, it } from 'vitest';
import { intoFile } from '../../../src/connectors/into-file.ts';

const dir = mkdtempSync(join(tmpdir(), 'into-file-'));
afterAll(() => rmSync(dir, { recursive: true }));

it('writes a file', async () => {
  const path = join(dir, 'whole');
  await intoFile(path, { mode: 0o600 }, (file) => pipeline(Readable.from(['one', 'two']), file));
  expect(readFileSync(path, 'utf8')).toBe('onetwo');
});

it('is done with the file when it fails, so that what is removed stays away', async () => {
  let given: WriteStream | undefined;
  const failing = intoFile(join(dir, 'cut'), { flags: 'wx' }, async (file) => {
    given = file;
    throw new Error('cut'); // before it is open
  });
  await expect(failing).rejects.toThrow('cut');
  expect(given?.closed).toBe(true);
});

it('leaves a file alone that is there already', async () => {
  const path = join(dir, 'whole');
  const write = intoFile(path, { flags: 'wx' }, (file) => pipeline(Readable.from(['other']), file));
  await expect(write).rejects.toMatchObject({ code: 'EEXIST' });
  expect(readFileSync(path, 'utf8')).toBe('onetwo');
});
