import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, vi } from 'vitest';
import { importFile } from '../../../src/local-store/import/import-file-task.ts';
import { ctSlice, part10 } from '../../support/local-store/dicom-file.ts';

// A codec that gets the second frame wrong by one grey level, as real ones do with data that their makers never met.
vi.mock('../../../src/formats/htj2k/encoder.ts', async (original) => {
  const real = await original<typeof import('../../../src/formats/htj2k/encoder.ts')>();
  let calls = 0;
  const encodeHtj2k: typeof real.encodeHtj2k = (pixels, info) => {
    calls += 1;
    return real.encodeHtj2k(calls === 2 ? pixels.with(10, (pixels[10] as number) ^ 1) : pixels, info);
  };
  return { ...real, encodeHtj2k };
});

it('stores an instance uncompressed when one of its frames does not come back from the codec', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'inexact-'));
  try {
    const pixels = new Uint8Array(3 * 48 * 64 * 2).map((_, index) => index * 7);
    const change = { 2621448: ['IS', '3'], 2145386512: ['OW', pixels] } as const;
    writeFileSync(join(folder, 'received'), part10(ctSlice(1, change)));
    const target = join(folder, '0');
    const outcome = await importFile({ sourcePath: join(folder, 'received'), target, bytesPerFile: 1e9 });
    expect(outcome.kind).toBe('staged');
    const staged = JSON.parse(readFileSync(`${target}.json`, 'utf8'));
    expect(staged.storedTransferSyntaxUid).toBe('1.2.840.10008.1.2.1');
    expect(staged.frames.map(({ lengthBytes }: { lengthBytes: number }) => lengthBytes)).toEqual([6144, 6144, 6144]);
    expect(Buffer.compare(readFileSync(`${target}.frames`), pixels)).toBe(0);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
