import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOfFiles } from '../../../src/archive/digest.ts';
import { readMapJson } from '../../../src/archive/map-json-file.ts';
import { packBundle } from '../../../src/archive/pack.ts';
import { unpackArchive } from '../../../src/archive/unpack.ts';
import { bundleFiles, writeTree } from '../../support/archives.ts';

const limits = { maxBytes: 10_000_000, maxEntries: 100 };
const never = new AbortController().signal;
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pack-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('packBundle', () => {
  it('gives the same bytes for the same files, whatever their times, modes and place', async () => {
    const files = { ...bundleFiles(), '@docs/ä.txt': Buffer.from('x'), 'Z/a': Buffer.from('1') };
    writeTree(join(dir, 'one'), files);
    writeTree(join(dir, 'two/around'), Object.fromEntries(Object.entries(files).reverse()));
    chmodSync(join(dir, 'two/around/models/model.onnx'), 0o755);
    utimesSync(join(dir, 'two/around/Z/a'), 1, 1);
    const [one, two] = await Promise.all(
      ['one', 'two'].map((name) => packBundle(join(dir, name), join(dir, `${name}.tar.gz`), limits, never)),
    );
    expect(readFileSync(join(dir, 'one.tar.gz')).equals(readFileSync(join(dir, 'two.tar.gz')))).toBe(true);
    expect(one).toEqual(two);
    const unpacked = await unpackArchive(join(dir, 'one.tar.gz'), join(dir, 'out'), limits, never);
    expect(digestOfFiles(unpacked)).toBe(one?.digest);
    expect(unpacked.map(({ path }) => path)).toEqual(one?.files.map(({ path }) => path));
    expect(execFileSync('tar', ['-tzf', join(dir, 'one.tar.gz')], { encoding: 'utf8' })).toContain('models/model.onnx');
  });

  it('refuses what the endpoint would refuse, and leaves nothing', async () => {
    writeTree(join(dir, 'b'), bundleFiles());
    const pack = () => packBundle(join(dir, 'b'), join(dir, 'out.tar.gz'), limits, never);
    symlinkSync('model.onnx', join(dir, 'b/models/link.onnx'));
    await expect(pack()).rejects.toMatchObject({ code: 'invalid_archive' });
    rmSync(join(dir, 'b/models/link.onnx'));
    writeFileSync(join(dir, 'b/models/model.onnx'), 'no network');
    await expect(pack()).rejects.toMatchObject({ code: 'invalid_archive' });
    rmSync(join(dir, 'b/models/model.onnx'));
    writeFileSync(join(dir, 'b/models/model.pt'), 'weights');
    await expect(pack()).rejects.toMatchObject({ code: 'unsupported_bundle' });
    expect(readdirSync(dir)).toEqual(['b']);
  });
});

describe('readMapJson', () => {
  it('reads map.json, or its defaults', async () => {
    expect(await readMapJson(dir)).toMatchObject({ io: {}, batch: { maxSize: 1 } });
    writeFileSync(join(dir, 'map.json'), '{"name":"spleen"}');
    expect(await readMapJson(dir)).toMatchObject({ name: 'spleen' });
  });

  it.each(['{', '[]', '{"nam":"typo"}', '\ufffd', Buffer.from([0x22, 0xff, 0x22])])('refuses %j', async (text) => {
    writeFileSync(join(dir, 'map.json'), text);
    await expect(readMapJson(dir)).rejects.toMatchObject({
      code: 'invalid_archive',
      message: expect.stringContaining('map.json'),
    });
  });
});
