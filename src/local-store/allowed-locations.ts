import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ServiceError, validation } from './service-error.ts';

/** Where a job reads or writes: a folder of this machine, or a prefix of an object store. */
export type Location =
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'objects'; readonly bucket: string; readonly prefix: string; readonly uri: string };

/**
 * What the import jobs may read and write (`ALLOWED_URIS`, `--allow`): folders and object prefixes. Compared by whole
 * segments, and folders by their real path, so neither `..` nor a symbolic link leads around it.
 */
export class AllowedLocations {
  readonly #folders: readonly string[];
  readonly #prefixes: readonly string[];

  /** @param allowed - `s3://bucket/prefix/`, `file:///folder/` or absolute folders */
  constructor(allowed: readonly string[]) {
    this.#folders = allowed.filter((entry) => !entry.startsWith('s3://')).map(toPath);
    this.#prefixes = allowed.filter((entry) => entry.startsWith('s3://')).map(withSlash);
  }

  /**
   * @param name - the request's field, for the refusal
   * @throws ServiceError `AccessDeniedException` outside the list, `ValidationException` for a malformed URI
   */
  async resolve(uri: string, name: string): Promise<Location> {
    const location = parseLocation(uri, name);
    const inside = location.kind === 'folder' ? await this.#holdsFolder(location.path) : this.#holdsPrefix(location);
    if (!inside) {
      throw new ServiceError(
        'AccessDeniedException',
        `${name} is outside what this server may touch: add its place to ALLOWED_URIS (or --allow).`,
      );
    }
    return location;
  }

  async #holdsFolder(path: string): Promise<boolean> {
    const real = await realPathOf(path);
    for (const folder of this.#folders) if (isInside(real, await realPathOf(folder))) return true;
    return false;
  }

  #holdsPrefix({ bucket, prefix }: { bucket: string; prefix: string }): boolean {
    const whole = withSlash(`s3://${bucket}/${prefix}`);
    return this.#prefixes.some((allowed) => whole.startsWith(allowed));
  }
}

/** True when `path` is `folder` or lies under it. Both are real paths. */
export function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

/** Reads a location without judging it. */
export function parseLocation(uri: string, name: string): Location {
  if (uri.startsWith('file:')) {
    try {
      return { kind: 'folder', path: fileURLToPath(uri) };
    } catch {
      throw validation(`Value at '${name}' is no local file URI.`);
    }
  }
  const match = /^s3:\/\/([^/]+)(?:\/(.*))?$/s.exec(uri);
  if (!match) throw validation(`Value at '${name}' is neither an s3:// nor a file:/// URI.`);
  const [, bucket = '', prefix = ''] = match;
  return { kind: 'objects', bucket, prefix, uri };
}

function toPath(entry: string): string {
  const path = entry.startsWith('file:') ? fileURLToPath(entry) : entry;
  return isAbsolute(path) ? path : resolve(path);
}

const withSlash = (uri: string): string => (uri.endsWith('/') ? uri : `${uri}/`);

/** The real path; of what does not exist yet, that of its nearest existing parent with the rest behind it. */
async function realPathOf(path: string): Promise<string> {
  const whole = resolve(path);
  try {
    return await realpath(whole);
  } catch (error) {
    const parent = dirname(whole);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === whole) throw error;
    return join(await realPathOf(parent), whole.slice(parent.length));
  }
}
