import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ArchiveSource } from '../../src/model-cache/archive-source.ts';

/** A place of models that a test can change. */
export interface TestedSource {
  readonly source: ArchiveSource;
  /** Puts or replaces the archive of a target. */
  put(target: string, bytes: Buffer): Promise<void>;
  remove(target: string): Promise<void>;
  close?(): Promise<void>;
}

const never = new AbortController().signal;

/** What every {@link ArchiveSource} keeps to. */
export function describeArchiveSource(name: string, open: () => Promise<TestedSource>): void {
  describe(`${name} as an ArchiveSource`, () => {
    let tested: TestedSource;
    let dir = '';
    beforeEach(async () => {
      tested = await open();
      dir = mkdtempSync(join(tmpdir(), 'source-'));
    });
    afterEach(async () => {
      await tested.close?.();
      rmSync(dir, { recursive: true, force: true });
    });

    it('finds nothing where there is nothing', async () => {
      expect(await tested.source.head('missing.tar.gz', never)).toBeUndefined();
      expect(await tested.source.head('no/such/folder/missing.tar.gz', never)).toBeUndefined();
    });

    it.each(['a.tar.gz', 'sub/folder/b.tar.gz'])('tells of %s and copies it', async (target) => {
      const bytes = Buffer.alloc(300_000, 'model');
      await tested.put(target, bytes);
      const stored = await tested.source.head(target, never);
      expect(stored).toMatchObject({ kind: 'archive', sizeBytes: bytes.length, version: expect.stringMatching(/./) });
      if (!stored) return;
      await tested.source.download(target, stored, join(dir, 'copy'), never);
      expect(readFileSync(join(dir, 'copy')).equals(bytes)).toBe(true);
    });

    it('gives the same version for the same content, another one for other content of the same size', async () => {
      await tested.put('a.tar.gz', Buffer.from('one'));
      const version = async (): Promise<string | undefined> => (await tested.source.head('a.tar.gz', never))?.version;
      const first = await version();
      expect(await version()).toBe(first);
      await new Promise((resolve) => setTimeout(resolve, 20)); // mtimes have a grain
      await tested.put('a.tar.gz', Buffer.from('two'));
      expect(await version()).not.toBe(first);
    });

    it('does not give another version than the one that is asked for', async () => {
      await tested.put('a.tar.gz', Buffer.from('one'));
      const stored = await tested.source.head('a.tar.gz', never);
      await new Promise((resolve) => setTimeout(resolve, 20));
      await tested.put('a.tar.gz', Buffer.from('two'));
      if (!stored) throw new Error('not found');
      const download = tested.source.download('a.tar.gz', stored, join(dir, 'copy'), never);
      await expect(download).rejects.toMatchObject({ code: 'upstream_failed' });
      expect(existsSync(join(dir, 'copy'))).toBe(false);
    });

    it('tells when it has gone before it was copied', async () => {
      await tested.put('a.tar.gz', Buffer.from('one'));
      const stored = await tested.source.head('a.tar.gz', never);
      await tested.remove('a.tar.gz');
      if (!stored) throw new Error('not found');
      const download = tested.source.download('a.tar.gz', stored, join(dir, 'copy'), never);
      await expect(download).rejects.toMatchObject({ code: 'model_not_found' });
      expect(existsSync(join(dir, 'copy'))).toBe(false);
    });

    it('stops when it is told to, and leaves nothing', async () => {
      await tested.put('a.tar.gz', Buffer.alloc(100_000, 1));
      const stored = await tested.source.head('a.tar.gz', never);
      const controller = new AbortController();
      controller.abort();
      await expect(tested.source.head('a.tar.gz', controller.signal)).rejects.toMatchObject({
        code: 'deadline_exceeded',
      });
      if (!stored) throw new Error('not found');
      const download = tested.source.download('a.tar.gz', stored, join(dir, 'copy'), controller.signal);
      await expect(download).rejects.toMatchObject({ code: 'deadline_exceeded' });
      expect(existsSync(join(dir, 'copy'))).toBe(false);
    });
  });
}
