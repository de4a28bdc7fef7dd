import { close, fsync, open } from 'node:fs';
import { promisify } from 'node:util';
import type { ComputePool } from '../../compute/pool.ts';
import { type ImportFileInput, importFileTask } from './import-file-task.ts';
import type { FileOutcome } from './outcome.ts';

const openFile = promisify(open);
const flush = promisify(fsync);
const closeFile = promisify(close);

/**
 * Brings one received file and its frames into the staging folder, flushed. A thread reads and encodes; it does not wait
 * for the disk, which takes half as long again, but goes on with the next file.
 */
export async function stageFile(pool: ComputePool, input: ImportFileInput, signal: AbortSignal): Promise<FileOutcome> {
  const outcome = await pool.run(importFileTask, input, signal);
  if (outcome.kind !== 'staged') return outcome;
  try {
    await Promise.all([flushed(`${input.target}.dcm`), flushed(`${input.target}.frames`)]);
    return outcome;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return { kind: 'disk-full' };
    throw error;
  }
}

/** Flushes a file, where there is one: an object without frames has no file of frames. */
async function flushed(path: string): Promise<void> {
  let file: number;
  try {
    file = await openFile(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  try {
    await flush(file);
  } finally {
    await closeFile(file);
  }
}
