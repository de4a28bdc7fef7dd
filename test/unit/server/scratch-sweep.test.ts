import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ScratchSweep } from '../../../src/server/scratch-sweep.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'scratch-sweep-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function folder(name: string): string {
  const dir = join(root, name);
  mkdirSync(dir);
  writeFileSync(join(dir, 'body'), 'x');
  return dir;
}

describe('ScratchSweep', () => {
  it('removes the folders of requests that are over, and no others', async () => {
    const sweep = new ScratchSweep(root);
    const [over, alsoOver] = [folder('over'), folder('also-over')];
    folder('works');
    for (const dir of [over, join(root, 'never-made'), alsoOver]) sweep.discard(dir);
    await vi.waitFor(() => expect(readdirSync(root)).toEqual(['works']));
  });

  it('goes on with those that come later', async () => {
    const sweep = new ScratchSweep(root);
    for (const name of ['first', 'second', 'third']) {
      const dir = folder(name);
      sweep.discard(dir);
      await vi.waitFor(() => expect(existsSync(dir)).toBe(false));
    }
  });

  it('tries a folder again that could not be removed', async () => {
    const sweep = new ScratchSweep(join(root, 'requests'));
    writeFileSync(join(root, 'requests'), ''); // no folder yet: it cannot be read
    sweep.discard(join(root, 'requests', 'early'));
    await new Promise((resolve) => setTimeout(resolve, 60));
    rmSync(join(root, 'requests'));
    mkdirSync(join(root, 'requests'));
    const early = folder('requests/early');
    sweep.discard(join(root, 'requests', 'later'));
    await vi.waitFor(() => expect(existsSync(early)).toBe(false));
  });
});
