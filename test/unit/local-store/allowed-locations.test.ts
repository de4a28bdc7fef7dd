import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AllowedLocations } from '../../../src/local-store/allowed-locations.ts';

let root: string;
beforeAll(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'allowed-')));
  for (const folder of ['in/deep', 'in-evil', 'outside']) mkdirSync(join(root, folder), { recursive: true });
  symlinkSync(join(root, 'outside'), join(root, 'in/link'));
  symlinkSync(join(root, 'in'), join(root, 'alias'));
});
afterAll(() => rmSync(root, { recursive: true }));

const uri = (path: string): string => pathToFileURL(join(root, path)).href;

describe('AllowedLocations', () => {
  it.each(['in', 'in/', 'in/deep', 'in/not/there/yet', 'in/../in/deep', 'alias/deep'])('lets %s in', async (path) => {
    const allowed = new AllowedLocations([join(root, 'in')]);
    await expect(allowed.resolve(uri(path), 'inputS3Uri')).resolves.toMatchObject({ kind: 'folder' });
  });

  it.each(['in-evil', 'outside', 'in/../outside', 'in/link', 'in/link/new', ''])('keeps %j out', async (path) => {
    const allowed = new AllowedLocations([uri('in/')]);
    const resolving = allowed.resolve(uri(path), 'inputS3Uri');
    await expect(resolving).rejects.toMatchObject({ name: 'AccessDeniedException', status: 403 });
    await expect(resolving).rejects.toThrow('ALLOWED_URIS');
  });

  it('keeps encoded dots out', async () => {
    const allowed = new AllowedLocations([uri('in/')]);
    await expect(allowed.resolve(`${uri('in')}/%2e%2e/outside`, 'x')).rejects.toMatchObject({ status: 403 });
  });

  it.each([
    ['s3://bucket/a/', 's3://bucket/a/b/', true],
    ['s3://bucket/a', 's3://bucket/a', true],
    ['s3://bucket/a', 's3://bucket/ab', false],
    ['s3://bucket', 's3://bucket/any', true],
    ['s3://bucket/', 's3://bucket-evil/', false],
  ])('compares objects by whole segments: %s, %s', async (entry, asked, isIn) => {
    const resolving = new AllowedLocations([entry]).resolve(asked, 'x');
    if (isIn) await expect(resolving).resolves.toMatchObject({ kind: 'objects' });
    else await expect(resolving).rejects.toMatchObject({ status: 403 });
  });

  it.each(['http://host/', 'file://host/share', 'relative'])('calls %s malformed', async (asked) => {
    await expect(new AllowedLocations(['/']).resolve(asked, 'x')).rejects.toMatchObject({ status: 400 });
  });

  it('allows nothing when the list is empty', async () => {
    await expect(new AllowedLocations([]).resolve(uri('in'), 'x')).rejects.toMatchObject({ status: 403 });
  });
});
