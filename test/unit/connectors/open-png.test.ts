import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encode } from 'fast-png';
import { afterAll, expect, it } from 'vitest';
import { openFileList } from '../../../src/connectors/open-file-list.ts';

const dir = mkdtempSync(join(tmpdir(), 'open-png-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

it('a PNG that is the only file is the image, though a picture beside DICOM files is not', async () => {
  const data = Uint8Array.of(1, 2, 3, 4, 5, 6);
  writeFileSync(join(dir, 'a.png'), encode({ width: 3, height: 2, data, channels: 1, depth: 8 }));
  const options = { signal: new AbortController().signal, scratchDir: dir };
  const file = { path: join(dir, 'a.png'), name: 'a.png' };
  expect(await openFileList([file], options)).toMatchObject({ kind: 'volume', volume: { shape: [3, 2, 1] } });
  const two = openFileList([file, { ...file, name: 'b.png' }], options);
  await expect(two).rejects.toMatchObject({ code: 'input_not_found' });
});
