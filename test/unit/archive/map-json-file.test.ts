import { mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { readMapJson } from '../../../src/archive/map-json-file.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'map-json-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

it('takes the defaults where there is no map.json', async () => {
  expect((await readMapJson(dir)).batch.maxSize).toBe(1);
});

it('refuses a map.json that is there and cannot be read: defaults would give another result', async () => {
  symlinkSync('map.json', join(dir, 'map.json')); // a loop
  await expect(readMapJson(dir)).rejects.toMatchObject({ code: 'invalid_archive' });
});
