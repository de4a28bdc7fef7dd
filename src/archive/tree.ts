import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { throwIfAborted } from '../errors.ts';
import { type ArchiveLimits, checkEntryPath, EntryLedger, refused } from './archive-path.ts';
import type { TreeFile } from './digest.ts';

const chunkBytes = 256 * 1024;

/**
 * Reads a folder of an unpacked model: every regular file with its size and hash. Links and special files are
 * refused, as in an archive.
 *
 * @throws EndpointError `invalid_archive`; the signal's reason
 */
export async function readTree(dir: string, limits: ArchiveLimits, signal: AbortSignal): Promise<TreeFile[]> {
  const ledger = new EntryLedger(limits);
  const files: TreeFile[] = [];
  const buffer = Buffer.allocUnsafe(chunkBytes);
  const walk = async (prefix: string): Promise<void> => {
    for (const entry of await readdir(join(dir, prefix), { withFileTypes: true })) {
      throwIfAborted(signal);
      const path = checkEntryPath(`${prefix}${entry.name}`);
      if (entry.isDirectory()) {
        ledger.addFolder();
        await walk(`${path}/`);
      } else if (entry.isFile()) {
        const file = await hashFile(dir, path, buffer, signal);
        ledger.addFile(path, file.sizeBytes);
        files.push(file);
      } else {
        throw refused(path, 'it is a link or a special file');
      }
    }
  };
  await walk('');
  return files;
}

async function hashFile(dir: string, path: string, buffer: Buffer, signal: AbortSignal): Promise<TreeFile> {
  const file = await open(join(dir, path), constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const hash = createHash('sha256');
    let sizeBytes = 0;
    for (;;) {
      throwIfAborted(signal);
      const { bytesRead } = await file.read(buffer, 0, buffer.length);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      sizeBytes += bytesRead;
    }
    return { path, sizeBytes, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}
