import { lstat, mkdir } from 'node:fs/promises';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { EndpointError } from '../errors.ts';

/**
 * Folder where `map-endpoint import` has the store of the same user put a job's manifest, so that nobody must name a
 * folder with `--allow` for it. It belongs to this user alone; the store allows it besides ALLOWED_URIS.
 *
 * @throws EndpointError `internal` when another user holds the place
 */
export async function importReportsDir(): Promise<string> {
  const { uid } = userInfo();
  const dir = join(tmpdir(), `map-endpoint-imports-${uid}`);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const found = await lstat(dir);
  if (!found.isDirectory() || (uid >= 0 && found.uid !== uid)) {
    throw new EndpointError('internal', 'The temporary folder for import reports belongs to another user.');
  }
  return dir;
}
