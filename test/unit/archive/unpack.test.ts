import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOfFiles, filesUnder } from '../../../src/archive/digest.ts';
import { readTree } from '../../../src/archive/tree.ts';
import { unpackArchive } from '../../../src/archive/unpack.ts';
import { bundleFiles, entriesOf, type TarEntry, tarBytes, tarGz, writeTree } from '../../support/archives.ts';

const limits = { maxBytes: 10_000_000, maxEntries: 100 };
const never = new AbortController().signal;
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'unpack-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function unpack(bytes: Buffer, options = limits, signal = never) {
  const archive = join(dir, 'a.tar.gz');
  writeFileSync(archive, bytes);
  return await unpackArchive(archive, join(dir, 'out'), options, signal);
}

/** Unpacking fails with a code, and nothing but the archive is there afterwards. */
async function expectRefused(bytes: Buffer, message: RegExp, options = limits): Promise<void> {
  const error = await unpack(bytes, options).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'invalid_archive', message: expect.stringMatching(message) });
  expect((error as Error).message).not.toContain(dir);
  expect(readdirSync(dir)).toEqual(['a.tar.gz']);
}

const file = (path: string, more: Partial<TarEntry> = {}): TarEntry => ({ path, data: 'x', ...more });

describe('unpackArchive', () => {
  it('gives the files as they are, and their hashes', async () => {
    const files = {
      ...bundleFiles(),
      'docs/empty.txt': Buffer.alloc(0),
      'docs/big.bin': Buffer.alloc(3_000_001, 'ab'),
    };
    const unpacked = await unpack(tarGz(entriesOf(files)));
    for (const [path, data] of Object.entries(files))
      expect(readFileSync(join(dir, 'out', path)).equals(data)).toBe(true);
    const tree = await readTree(join(dir, 'out'), limits, never);
    expect([...unpacked].sort((a, b) => (a.path < b.path ? -1 : 1))).toEqual(
      [...tree].sort((a, b) => (a.path < b.path ? -1 : 1)),
    );
  });

  it('takes over neither modes nor owners', async () => {
    await unpack(tarGz([{ path: 'd/', type: '5', mode: 0o777 }, file('d/run.sh', { mode: 0o755 })]));
    expect(statSync(join(dir, 'out')).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, 'out/d')).mode & 0o777).toBe(0o700);
    expect(statSync(join(dir, 'out/d/run.sh')).mode & 0o777).toBe(0o600);
  });

  it('reads what GNU tar writes, with long names and non-ASCII ones', async () => {
    const long = `${'deep/'.repeat(30)}läßt-日本.txt`;
    writeTree(join(dir, 'in'), { [long]: Buffer.from('long'), 'configs/x': Buffer.from('x') });
    for (const format of ['gnu', 'pax', 'ustar']) {
      const skipLong = format === 'ustar' ? ['--exclude=deep'] : [];
      const bytes = execFileSync('tar', ['-czf', '-', `--format=${format}`, ...skipLong, '-C', join(dir, 'in'), '.']);
      const files = await unpack(bytes);
      expect(files.map(({ path }) => path).sort()).toEqual(format === 'ustar' ? ['configs/x'] : ['configs/x', long]);
      rmSync(join(dir, 'out'), { recursive: true });
    }
  });

  it.each([
    ['a parent folder', [file('../evil')], /has "\.\."/],
    ['a parent folder in the middle', [file('a/../../evil')], /has "\.\."/],
    ['an absolute path', [file('/etc/evil')], /absolute/],
    ['a drive', [file('C:evil')], /absolute/],
    ['a backslash', [file('a\\..\\evil')], /backslash/],
    ['a control character', [file('a\nb')], /control/],
    ['a name that is not UTF-8', [{ path: Buffer.from([0x61, 0xff, 0xfe]), data: 'x' }], /UTF-8/],
    ['an overlong name', [file('n'.repeat(100)), { path: 'configs/x', data: '' }, ...longName(300)], /too long/],
    ['a symbolic link', [{ path: 'l', type: '2', linkPath: '/etc' }], /link/],
    ['a link, then a file through it', [{ path: 'l', type: '2', linkPath: '..' }, file('l/evil')], /link/],
    ['a hard link', [file('a'), { path: 'b', type: '1', linkPath: 'a' }], /link/],
    ['a character device', [{ path: 'd', type: '3' }], /special/],
    ['a block device', [{ path: 'd', type: '4' }], /special/],
    ['a FIFO', [{ path: 'd', type: '6' }], /special/],
    ['an unknown kind', [{ path: 'd', type: 'Z' }], /special|unknown/],
    ['a setuid file', [file('s', { mode: 0o4755 })], /setuid/],
    ['a setgid file', [file('s', { mode: 0o2755 })], /setuid/],
    ['a name twice', [file('a'), file('a')], /twice/],
    ['a name twice but for capitals', [file('models/a'), file('Models/A')], /twice/],
    ['a name twice, once with a dot', [file('a'), file('./a')], /twice/],
    ['a file that is a folder as well', [file('a'), file('a/b')], /side by side/],
    ['a folder that is a file as well', [file('a/b'), file('a')], /side by side/],
    ['an empty segment', [file('a//b')], /empty segment/],
    ['a file with the name of a folder', [file('a/')], /no whole/],
    ['no entry', [], /no file|no whole/],
    ['folders only', [{ path: 'a/', type: '5' }], /no file/],
  ])('refuses %s', async (_, entries, message) => {
    await expectRefused(tarGz(entries as TarEntry[]), message as RegExp);
  });

  it('refuses more entries or bytes than allowed, also when the header lies', async () => {
    const many = Array.from({ length: 20 }, (_, i) => file(`f${i}`));
    await expectRefused(tarGz(many), /20|entries/, { ...limits, maxEntries: 19 });
    const folders = Array.from({ length: 20 }, (_, i): TarEntry => ({ path: `f${i}/`, type: '5' }));
    await expectRefused(tarGz([...folders, file('a')]), /entries/, { ...limits, maxEntries: 19 });
    await expectRefused(
      tarGz([file('a', { data: Buffer.alloc(4000) }), file('b', { data: Buffer.alloc(4000) })]),
      /7000 bytes/,
      { ...limits, maxBytes: 7000 },
    );
    await expectRefused(tarGz([file('a', { claimedSize: 8 * 1024 ** 3 - 1 })]), /bytes/);
  });

  it('refuses bombs while they unpack', async () => {
    const bomb = gzipSync(tarBytes([file('zeros', { data: Buffer.alloc(68_000_000) })]), { level: 9 });
    expect(bomb.length).toBeLessThan(100_000);
    await expectRefused(bomb, /times its size/, { ...limits, maxBytes: 2 ** 40 });
    const padding = gzipSync(Buffer.concat([tarBytes([file('a')]), Buffer.alloc(30_000_000)]));
    await expectRefused(padding, /unpacks to more than/);
    await expectRefused(gzipSync(tarGz([file('a')])), /twice/);
    await expectRefused(
      tarGz([file('a', { data: Buffer.from(Array.from({ length: 3000 }, () => Math.random() * 256)) })]),
      /has \d+ bytes/,
      { ...limits, maxBytes: 1000 },
    );
  });

  it('refuses an archive that is cut anywhere, damaged, or none', async () => {
    const whole = tarGz(
      entriesOf({
        ...bundleFiles(),
        'models/w.bin': Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * i * 31) % 251)),
      }),
    );
    for (const share of [0, 0.01, 0.3, 0.6, 0.9, 0.999]) {
      await expectRefused(whole.subarray(0, Math.floor(whole.length * share)), /gzip|cut off|no file|no whole/);
    }
    await expectRefused(whole.subarray(0, -1), /gzip/);
    const flipped = Buffer.from(whole);
    flipped[Math.floor(whole.length / 2)] = (flipped[Math.floor(whole.length / 2)] as number) ^ 0x40;
    await expectRefused(flipped, /./);
    await expectRefused(Buffer.from('PK\u0003\u0004 not gzip at all'), /gzip/);
    await expectRefused(gzipSync('not a tar file, but long enough to look at: '.repeat(40)), /tar/);
    await expectRefused(tarBytes([file('a')]), /gzip/);
    const tar = tarBytes([file('a', { data: Buffer.alloc(5000, 'q') })], false);
    await expectRefused(gzipSync(tar.subarray(0, 2000)), /tar|cut off/);
  });

  it('writes nothing through what lies there already', async () => {
    const outside = join(dir, 'outside');
    mkdirSync(outside);
    symlinkSync(outside, join(dir, 'out'));
    await expect(unpack(tarGz([file('a')]))).rejects.toMatchObject({ code: expect.any(String) });
    expect(readdirSync(outside)).toEqual([]);
    expect(lstatSync(join(dir, 'out')).isSymbolicLink()).toBe(true);
  });

  it('stops when nobody wants it any more, and leaves nothing', async () => {
    const controller = new AbortController();
    const unpacking = unpack(tarGz([file('a', { data: Buffer.alloc(5_000_000) })]), limits, controller.signal);
    controller.abort();
    await expect(unpacking).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(readdirSync(dir)).toEqual(['a.tar.gz']);
  });
});

describe('digests', () => {
  it('are equal for an archive, an unpacked tree, another order, and one folder around', async () => {
    const files = bundleFiles();
    writeTree(join(dir, 'tree'), files);
    const expected = digestOfFiles(await readTree(join(dir, 'tree'), limits, never));
    const archives = [
      entriesOf(files),
      entriesOf(files).reverse(),
      [{ path: './', type: '5' }, ...entriesOf(files, './')],
    ];
    for (const entries of archives) {
      expect(digestOfFiles(await unpack(tarGz(entries)))).toBe(expected);
      rmSync(join(dir, 'out'), { recursive: true });
    }
    expect(digestOfFiles(filesUnder(await unpack(tarGz(entriesOf(files, 'spleen/'))), 'spleen/'))).toBe(expected);
  });

  it('differ for any other name, size, content or number of files', () => {
    const a = { path: 'a', sizeBytes: 1, sha256: '00' };
    const digests = [
      [a],
      [{ ...a, path: 'b' }],
      [{ ...a, sizeBytes: 2 }],
      [{ ...a, sha256: '01' }],
      [a, { ...a, path: 'b' }],
      [],
    ];
    expect(new Set(digests.map(digestOfFiles)).size).toBe(digests.length);
  });

  it('are what the definition says', async () => {
    const { createHash } = await import('node:crypto');
    const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
    const files = [
      { path: 'b', sizeBytes: 3, sha256: sha256('bbb') },
      { path: 'a/c', sizeBytes: 0, sha256: sha256('') },
    ];
    expect(digestOfFiles(files)).toBe(sha256(`a/c\0${0}\0${sha256('')}\nb\0${3}\0${sha256('bbb')}\n`));
  });
});

describe('readTree', () => {
  it('refuses links and special files, as in an archive', async () => {
    writeTree(join(dir, 't'), bundleFiles());
    symlinkSync('/etc/passwd', join(dir, 't/configs/link'));
    await expect(readTree(join(dir, 't'), limits, never)).rejects.toMatchObject({ code: 'invalid_archive' });
    rmSync(join(dir, 't/configs/link'));
    symlinkSync('/etc', join(dir, 't/folder'));
    await expect(readTree(join(dir, 't'), limits, never)).rejects.toMatchObject({ code: 'invalid_archive' });
    rmSync(join(dir, 't/folder'));
    execFileSync('mkfifo', [join(dir, 't/pipe')]);
    await expect(readTree(join(dir, 't'), limits, never)).rejects.toMatchObject({ code: 'invalid_archive' });
  });

  it('keeps to the limits', async () => {
    writeTree(join(dir, 't'), bundleFiles());
    await expect(readTree(join(dir, 't'), { ...limits, maxEntries: 4 }, never)).rejects.toMatchObject({
      code: 'invalid_archive',
    });
    await expect(readTree(join(dir, 't'), { ...limits, maxBytes: 10 }, never)).rejects.toMatchObject({
      code: 'invalid_archive',
    });
  });
});

/** A file whose name comes in a GNU long-name record. */
function longName(length: number): TarEntry[] {
  return [{ path: '././@LongLink', type: 'L', data: `${'n'.repeat(length)}\0` }, file('short')];
}
