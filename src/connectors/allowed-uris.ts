import { lstat, realpath } from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { EndpointError } from '../errors.ts';
import { type ParsedUri, parseUri } from './parsed-uri.ts';

/**
 * The URIs that requests may name, for inputs and outputs alike: prefixes that end at path-segment boundaries
 * (`s3://bucket/data` allows `s3://bucket/data/x`, not `s3://bucket/database`). A list that is empty allows nothing.
 */
export class AllowedUris {
  readonly #prefixes: readonly ParsedUri[];

  /**
   * @param prefixes - `s3://bucket/prefix/`, `https://host/path`, `file:///folder`, or a folder of this machine
   * @throws EndpointError `invalid_request` for a malformed prefix
   */
  constructor(prefixes: readonly string[]) {
    this.#prefixes = prefixes.map((prefix) => {
      const isUri = /^[A-Za-z][A-Za-z0-9+.-]*:\/\//.test(prefix);
      return parseUri(isUri ? prefix : pathToFileURL(resolve(prefix)).href);
    });
  }

  /**
   * Normalises a URI and checks it. A file's real path counts: a link inside an allowed folder leads nowhere else.
   *
   * @returns the form to use from now on; for files the real path, so that what was checked is what is opened
   * @throws EndpointError `invalid_request` (malformed), `forbidden`
   */
  async check(uri: string): Promise<ParsedUri> {
    const parsed = parseUri(uri);
    if (this.#prefixes.length === 0) {
      throw new EndpointError(
        'forbidden',
        'ALLOWED_URIS is not set, so requests may name no URIs. Set it to the prefixes that inputs and outputs may lie under.',
      );
    }
    if (parsed.scheme === 'http') {
      if (this.#prefixes.some((prefix) => prefix.scheme === 'http' && httpCovers(prefix, parsed))) return parsed;
      throw outside();
    }
    if (parsed.scheme === 's3') {
      if (this.#prefixes.some((prefix) => prefix.scheme === 's3' && s3Covers(prefix, parsed))) return parsed;
      throw outside();
    }
    const path = await realPathOf(parsed.path);
    if (!(await this.coversRealPath(path))) throw outside();
    return { scheme: 'file', path: parsed.path.endsWith('/') && path !== '/' ? `${path}/` : path };
  }

  /** True when a real path lies under an allowed folder: asked again for each link found inside one. */
  async coversRealPath(path: string): Promise<boolean> {
    for (const prefix of this.#prefixes) {
      if (prefix.scheme === 'file' && pathCovers(await realPathOf(prefix.path), path)) return true;
    }
    return false;
  }
}

function outside(): EndpointError {
  return new EndpointError(
    'forbidden',
    'A URI of the request lies outside ALLOWED_URIS. Use a place under one of its prefixes, or have the operator add one.',
  );
}

function s3Covers(prefix: { bucket: string; key: string }, uri: { bucket: string; key: string }): boolean {
  if (prefix.bucket !== uri.bucket) return false;
  return prefix.key === '' || pathCovers(prefix.key, uri.key);
}

function httpCovers(prefix: { origin: string; path: string }, uri: { origin: string; path: string }): boolean {
  return prefix.origin === uri.origin && (prefix.path === '' || pathCovers(prefix.path, uri.path));
}

function pathCovers(prefix: string, path: string): boolean {
  const folder = prefix.endsWith('/') ? prefix : `${prefix}/`;
  return path === folder.slice(0, -1) || path.startsWith(folder);
}

/** The real path; of a path that does not exist yet, that of its nearest existing ancestor with the rest behind it. */
async function realPathOf(path: string): Promise<string> {
  if (!isAbsolute(path)) throw outside();
  const rest: string[] = [];
  let current = path.length > 1 ? path.replace(/\/+$/, '') : path;
  for (;;) {
    try {
      return join(await realpath(current), ...rest);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw outside();
      // A link that leads nowhere yet would be followed by the write that makes its target.
      if (
        await lstat(current).then(
          () => true,
          () => false,
        )
      )
        throw outside();
      if (dirname(current) === current) return join(current, ...rest);
      rest.unshift(basename(current));
      current = dirname(current);
    }
  }
}
