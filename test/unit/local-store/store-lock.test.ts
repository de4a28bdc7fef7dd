import { mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { StoreLock } from '../../../src/local-store/store-lock.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const plant = (content: unknown): void => {
  writeFileSync(join(folder, 'store.lock'), typeof content === 'string' ? content : JSON.stringify(content));
};
const here = { host: hostname(), token: 'other' };
const selfStarted = (): string | undefined => {
  const text = readFileSync('/proc/self/stat', 'utf8');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
};

describe('StoreLock', () => {
  it('is held by one at a time and leaves nothing behind', async () => {
    const lock = await StoreLock.acquire(folder);
    await expect(StoreLock.acquire(folder)).rejects.toMatchObject({ code: 'conflict' });
    await expect(StoreLock.acquire(folder)).rejects.toThrow(`process ${process.pid}`);
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
    await (await StoreLock.acquire(folder)).release();
  });

  it('lets one of several in that find the same dead lock, round after round', async () => {
    for (let round = 0; round < 30; round++) {
      plant({ ...here, pid: 2 ** 30 });
      const tries = await Promise.allSettled(Array.from({ length: 8 }, () => StoreLock.acquire(folder)));
      const winners = tries.filter((attempt) => attempt.status === 'fulfilled');
      expect(winners).toHaveLength(1);
      await winners[0]?.value.release();
      expect(readdirSync(folder)).toEqual([]);
    }
  });

  it('takes over from one that died while it took over', async () => {
    plant({ ...here, pid: 2 ** 30 });
    writeFileSync(join(folder, 'store.lock.taken-other'), JSON.stringify({ ...here, pid: 2 ** 30, token: 'second' }));
    const lock = await StoreLock.acquire(folder);
    await expect(StoreLock.acquire(folder)).rejects.toMatchObject({ code: 'conflict' });
    expect(readdirSync(folder)).toEqual(['store.lock']);
    await lock.release();
  });

  it.each([
    ['of a process that is gone', { ...here, pid: 2 ** 30 }],
    ['of a process whose number is used again', { ...here, pid: process.pid, started: '1' }],
    ['cut short', '{"pid":1,"ho'],
  ])('takes over a lock %s', async (_name, content) => {
    plant(content);
    await (await StoreLock.acquire(folder)).release();
  });

  it('respects a living process and a fresh lock of another host, not an old one', async () => {
    plant({ ...here, pid: process.pid, started: selfStarted() });
    await expect(StoreLock.acquire(folder)).rejects.toMatchObject({ code: 'conflict' });
    plant({ host: 'elsewhere', token: 'other', pid: 1 });
    await expect(StoreLock.acquire(folder)).rejects.toThrow('elsewhere');
    const longAgo = new Date(Date.now() - 60_000);
    utimesSync(join(folder, 'store.lock'), longAgo, longAgo);
    await (await StoreLock.acquire(folder)).release();
  });
});
