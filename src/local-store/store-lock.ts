import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { link, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { EndpointError } from '../errors.ts';

interface LockContent {
  readonly pid: number;
  /** Start time of the process in clock ticks since boot, where the system tells it: a pid can be used again. */
  readonly started: string | undefined;
  readonly host: string;
  readonly token: string;
}

const heartbeatMs = 2_000;
/** A lock of another host (a container that shares the folder) is alive while its file was touched this recently. */
const foreignAliveMs = 10_000;

/**
 * One process per data folder: a file with the owner's pid. A lock whose process is gone is taken over, so that a
 * killed server starts again without help.
 */
export class StoreLock {
  readonly #path: string;
  readonly #token: string;
  readonly #heartbeat: NodeJS.Timeout;

  private constructor(path: string, token: string) {
    this.#path = path;
    this.#token = token;
    this.#heartbeat = setInterval(() => {
      const now = new Date();
      utimes(path, now, now).catch(() => undefined);
    }, heartbeatMs);
    this.#heartbeat.unref();
  }

  /**
   * @throws EndpointError `conflict` when another process owns the folder
   */
  static async acquire(dataDir: string): Promise<StoreLock> {
    const path = join(dataDir, 'store.lock');
    const content: LockContent = {
      pid: process.pid,
      started: startOf(process.pid),
      host: hostname(),
      token: randomUUID(),
    };
    const own = `${path}.${content.token}`;
    await writeFile(own, JSON.stringify(content), { mode: 0o600 });
    try {
      for (let attempt = 0; attempt < 20; attempt++) {
        // link fails when the name exists, and the file is whole from the start: no reader sees half a lock.
        if ((await linked(own, path)) || (await takeOver(own, path))) return new StoreLock(path, content.token);
      }
    } finally {
      await rm(own, { force: true });
    }
    throw new EndpointError('conflict', 'The lock of the data folder changes hands too fast; start again.');
  }

  async release(): Promise<void> {
    clearInterval(this.#heartbeat);
    const held = await readLock(this.#path);
    if (held?.token === this.#token) await rm(this.#path, { force: true });
  }
}

/** Makes a second name for a file; false when the name is taken. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

/**
 * Takes a lock over whose process is gone. Several may find it so at the same moment: the right to replace it is
 * itself a file, named after the lock that it replaces, which only one can make. Who dies between that and the
 * replacement leaves a claim that is taken over in the same way.
 *
 * @returns false when the lock changed meanwhile: look again
 * @throws EndpointError `conflict` when a living process has the lock, or is about to
 */
async function takeOver(own: string, path: string): Promise<boolean> {
  const claimOn = (lock: LockContent): string => `${path}.taken-${encodeURIComponent(lock.token)}`;
  const held = await readLock(path);
  if (!held) return false;
  let last = held;
  let lastPath = path;
  for (let claim = await readLock(claimOn(last)); claim; claim = await readLock(claimOn(last))) {
    lastPath = claimOn(last);
    last = claim;
  }
  if (await isAlive(last, lastPath)) {
    throw new EndpointError(
      'conflict',
      `The data folder is in use by process ${last.pid} on ${last.host}; stop it or name another folder.`,
    );
  }
  const claim = claimOn(last);
  if (!(await linked(own, claim))) return false;
  // Claims are removed only after the replacement, so an unchanged lock says that nobody else held this one.
  if ((await readLock(path))?.token !== held.token) {
    await rm(claim, { force: true });
    return false;
  }
  await rename(own, path);
  for (const name of await readdir(dirname(path))) {
    if (name.startsWith(`${basename(path)}.taken-`)) await rm(join(dirname(path), name), { force: true });
  }
  return true;
}

async function readLock(path: string): Promise<LockContent | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as LockContent;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    if (error instanceof SyntaxError) return { pid: 0, started: undefined, host: hostname(), token: '' };
    throw error;
  }
}

async function isAlive(lock: LockContent, path: string): Promise<boolean> {
  if (lock.host !== hostname()) {
    const touched = await stat(path).catch(() => undefined);
    return touched !== undefined && Date.now() - touched.mtimeMs < foreignAliveMs;
  }
  if (!Number.isInteger(lock.pid) || lock.pid <= 0) return false;
  try {
    process.kill(lock.pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
  return lock.started === undefined || startOf(lock.pid) === lock.started;
}

/** Field 22 of /proc/PID/stat; undefined where there is no /proc. */
function startOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.slice(text.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
