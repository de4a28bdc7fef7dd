import { randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/**
 * Writes that survive a kill or a power cut: content is flushed before its name exists, and a name is flushed before
 * anybody hears of it. Everything that this program acknowledges and keeps goes through here.
 */

/** Flushes a folder's entries (names made, renamed or removed in it). */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes a folder whose existence is flushed; its parent exists. */
export async function makeFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await syncFolder(dirname(folder));
}

/** Writes and flushes a file under its final name: for files in a folder that nobody reads yet. */
export async function writeFlushed(path: string, content: string | Uint8Array): Promise<void> {
  const handle = await open(path, 'w', 0o600);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Replaces a file at once: readers see the old content or the new one, whole, also after a crash. */
export async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = join(dirname(path), `.${randomUUID()}.tmp`);
  try {
    await writeFlushed(temporary, content);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Moves a finished, flushed folder to its final name: the commit of what it holds. */
export async function publishFolder(from: string, to: string): Promise<void> {
  await syncFolder(from);
  await rename(from, to);
  await syncFolder(dirname(to));
}

/** Reads a JSON file that this program wrote. */
export async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readFile(path, 'utf8')) as T;
}
