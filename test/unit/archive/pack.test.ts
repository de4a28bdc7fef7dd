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
import { digestOfFiles, filesUnder } from '../../../src/archive/digest.ts';
import { readMapJson } from '../../../src/archive/map-json-file.ts';
import { packBundles, placeBundles } from '../../../src/archive/pack.ts';
import { unpackArchive } from '../../../src/archive/unpack.ts';
import { bundleFiles, writeTree } from '../../support/archives.ts';

const limits = { maxBytes: 10_000_000, maxEntries: 100 };
const never = new AbortController().signal;
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pack-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function pack(dirs: readonly string[], outPath: string) {
  const bundles = await placeBundles(dirs, limits, never);
  return { bundles, sizeBytes: await packBundles(bundles, outPath, never) };
}

describe('packing', () => {
  it('gives the same bytes for the same files, whatever their times, modes and place', async () => {
    const files = { ...bundleFiles(), '@docs/ä.txt': Buffer.from('x'), 'Z/a': Buffer.from('1') };
    writeTree(join(dir, 'one'), files);
    writeTree(join(dir, 'two/around'), Object.fromEntries(Object.entries(files).reverse()));
    chmodSync(join(dir, 'two/around/models/model.onnx'), 0o755);
    utimesSync(join(dir, 'two/around/Z/a'), 1, 1);
    const [one, two] = await Promise.all(
      ['one', 'two'].map((name) => pack([join(dir, name)], join(dir, `${name}.tar.gz`))),
    );
    expect(readFileSync(join(dir, 'one.tar.gz')).equals(readFileSync(join(dir, 'two.tar.gz')))).toBe(true);
    expect(one?.sizeBytes).toBe(two?.sizeBytes);
    const [bundle] = one?.bundles ?? [];
    expect(two?.bundles[0]).toEqual({ ...bundle, dir: join(dir, 'two/around/') });
    const unpacked = await unpackArchive(join(dir, 'one.tar.gz'), join(dir, 'out'), limits, never);
    expect(digestOfFiles(unpacked)).toBe(bundle?.digest);
    expect(unpacked.map(({ path }) => path)).toEqual(bundle?.files.map(({ path }) => path));
    expect(execFileSync('tar', ['-tzf', join(dir, 'one.tar.gz')], { encoding: 'utf8' })).toContain('models/model.onnx');
  });

  it('puts several bundles into one archive, from several folders or from one with bundles/', async () => {
    writeTree(join(dir, 'spleen'), bundleFiles('1.0.0'));
    writeTree(join(dir, 'in/a/folder/brain'), bundleFiles('2.0.0'));
    writeTree(join(dir, 'all/bundles/spleen'), bundleFiles('1.0.0'));
    writeTree(join(dir, 'all/bundles/brain'), bundleFiles('2.0.0'));
    writeFileSync(join(dir, 'all/README.md'), 'not a part of any');
    const both = await pack([join(dir, 'spleen'), join(dir, 'in/a/folder/brain')], join(dir, 'both.tar.gz'));
    const all = await pack([join(dir, 'all')], join(dir, 'all.tar.gz'));
    expect(both.bundles.map(({ name }) => name).sort()).toEqual(['brain', 'spleen']);
    const unpacked = await unpackArchive(join(dir, 'both.tar.gz'), join(dir, 'out'), limits, never);
    expect((await unpackArchive(join(dir, 'all.tar.gz'), join(dir, 'out2'), limits, never)).length).toBe(6);
    expect(unpacked.map(({ path }) => path)).toContain('bundles/brain/models/model.onnx');
    // The digest of a bundle is that of its own files: the same alone, and in whatever company.
    for (const { name, digest } of [...both.bundles, ...all.bundles]) {
      const alone = await pack([join(dir, `all/bundles/${name}`)], join(dir, 'alone.tar.gz'));
      expect(digest).toBe(alone.bundles[0]?.digest);
      expect(digestOfFiles(filesUnder(unpacked, `bundles/${name}/`))).toBe(digest);
    }
  });

  it('refuses two bundles of one name, and names that no request could give', async () => {
    writeTree(join(dir, 'a/spleen'), bundleFiles());
    writeTree(join(dir, 'b/spleen'), bundleFiles());
    writeTree(join(dir, 'b/-odd name'), bundleFiles());
    const refused = expect.objectContaining({ code: 'invalid_archive' });
    await expect(pack([join(dir, 'a/spleen'), join(dir, 'b/spleen')], join(dir, 'x.tar.gz'))).rejects.toEqual(refused);
    await expect(pack([join(dir, 'a/spleen'), join(dir, 'b/-odd name')], join(dir, 'x'))).rejects.toEqual(refused);
  });

  it('refuses what the endpoint would refuse, and leaves nothing', async () => {
    writeTree(join(dir, 'b'), bundleFiles());
    const packAgain = () => pack([join(dir, 'b')], join(dir, 'out.tar.gz'));
    symlinkSync('model.onnx', join(dir, 'b/models/link.onnx'));
    await expect(packAgain()).rejects.toMatchObject({ code: 'invalid_archive' });
    rmSync(join(dir, 'b/models/link.onnx'));
    writeFileSync(join(dir, 'b/models/model.onnx'), 'no network');
    await expect(packAgain()).rejects.toMatchObject({ code: 'invalid_archive' });
    rmSync(join(dir, 'b/models/model.onnx'));
    writeFileSync(join(dir, 'b/models/model.pt'), 'weights');
    await expect(packAgain()).rejects.toMatchObject({ code: 'unsupported_bundle' });
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
