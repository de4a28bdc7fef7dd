import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type MapJson, parseMapJson } from '../api/map-json.ts';
import { EndpointError } from '../errors.ts';

const maxMapJsonBytes = 1024 * 1024;

/**
 * Reads `map.json` of an unpacked bundle; where there is none, every field has its default.
 *
 * @param bundleDir - root of the bundle
 * @throws EndpointError `invalid_archive`, naming the place
 */
export async function readMapJson(bundleDir: string): Promise<MapJson> {
  const path = join(bundleDir, 'map.json');
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    // Only an absent file stands for the defaults: others would give another result than the author asked for.
    throw new EndpointError('invalid_archive', 'map.json cannot be read.', { cause });
  });
  if (!found) return parseMapJson({});
  if (!found.isFile() || found.size > maxMapJsonBytes) {
    throw new EndpointError('invalid_archive', 'map.json is no file of at most 1 MiB.');
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path)));
  } catch (cause) {
    throw new EndpointError('invalid_archive', 'map.json is not valid JSON in UTF-8.', { cause });
  }
  return parseMapJson(value);
}
