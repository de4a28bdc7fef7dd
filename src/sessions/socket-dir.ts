import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Longest socket folder: with a file name it has to fit into `sun_path` (108 bytes). */
const maxSocketDirBytes = 90;
/** Bytes of the folder's own name. */
const nameBytes = 10;

/** A private folder for the sockets: in the data folder, or in the system's where that one's path is too long. */
export async function makeSocketDir(dataDir: string): Promise<string> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const parent = Buffer.byteLength(dataDir) + nameBytes <= maxSocketDirBytes ? dataDir : tmpdir();
  return await mkdtemp(join(parent, 's-')); // mkdtemp makes it 0700
}
