import { fileURLToPath } from 'node:url';
import { EndpointError } from '../errors.ts';

/** A URI of a request after normalisation. `key` has no leading slash; a trailing slash says "folder". */
export type ParsedUri =
  | { readonly scheme: 's3'; readonly bucket: string; readonly key: string }
  | { readonly scheme: 'file'; readonly path: string }
  /** `path` begins with a slash and has none at its end. */
  | { readonly scheme: 'http'; readonly origin: string; readonly path: string };

const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;

/**
 * Parses an `s3://`, `file://`, `http://` or `https://` URI into the one form that is compared with `ALLOWED_URIS` and then used. What could
 * mean two things to two readers (dot segments, encoded slashes, empty segments, control characters) is refused in S3
 * keys, where it is literal, and resolved in file paths, where the URL standard says how.
 *
 * @throws EndpointError `invalid_request`
 */
export function parseUri(uri: string): ParsedUri {
  if (/[\u0000-\u001f\u007f]/.test(uri)) throw invalid('holds control characters');
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(uri)?.[1]?.toLowerCase();
  if (scheme === 's3') return parseS3(uri);
  if (scheme === 'file') return parseFile(uri);
  if (scheme === 'http' || scheme === 'https') return parseHttp(uri);
  throw invalid('must begin with s3://, file:// or https://');
}

function parseS3(uri: string): ParsedUri {
  const match = /^s3:\/\/([^/]*)(?:\/(.*))?$/i.exec(uri);
  const bucket = match?.[1] ?? '';
  const key = match?.[2] ?? '';
  if (!bucketPattern.test(bucket)) throw invalid('has no valid bucket name after s3://');
  if (Buffer.byteLength(key) > 1024) throw invalid('has a key of more than 1,024 bytes');
  const segments = key.split('/');
  for (const [index, segment] of segments.entries()) {
    const last = index === segments.length - 1;
    if (segment === '' && !last) throw invalid('has an empty path segment');
    const decoded = decodeFully(segment);
    if (decoded === '.' || decoded === '..' || /[/\\]/.test(decoded)) {
      throw invalid('has a path segment that could point elsewhere (".", "..", or an encoded slash)');
    }
  }
  return { scheme: 's3', bucket, key };
}

function parseFile(uri: string): ParsedUri {
  try {
    if (!/^file:\/\//i.test(uri)) throw invalid('must begin with s3:// or file://');
    const url = new URL(uri);
    if (url.search || url.hash) throw invalid('has a query or a fragment');
    // Dot segments, also %2e ones, are resolved by the URL parser; encoded slashes are refused by fileURLToPath.
    const path = fileURLToPath(url);
    if (path.includes('\0')) throw invalid('holds control characters');
    return { scheme: 'file', path: path.replace(/\/{2,}/g, '/') };
  } catch (thrown) {
    if (thrown instanceof EndpointError) throw thrown;
    throw invalid('is no valid file URI (a host other than localhost, or an encoded slash)');
  }
}

function parseHttp(uri: string): ParsedUri {
  const url = URL.parse(uri);
  if (!url || !/^https?:\/\//i.test(uri)) throw invalid('is no valid URL');
  if (url.username !== '' || url.password !== '')
    throw invalid('holds credentials; set DICOMWEB_AUTHORIZATION instead');
  if (url.search !== '' || url.hash !== '') throw invalid('has a query or a fragment');
  // Dot segments, also %2e ones, are resolved by the URL parser; other escapes could mean two things to two servers.
  if (!/^[A-Za-z0-9._~/-]*$/.test(url.pathname)) throw invalid('has more than letters, digits and ._~-/ in its path');
  return { scheme: 'http', origin: url.origin, path: url.pathname.replace(/\/{2,}/g, '/').replace(/\/$/, '') };
}

/** Undoes percent-encoding until nothing changes, so that a doubly encoded dot segment is seen as well. */
function decodeFully(segment: string): string {
  let text = segment;
  for (let round = 0; round < 4; round++) {
    const next = text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    if (next === text) break;
    text = next;
  }
  return text;
}

function invalid(reason: string): EndpointError {
  return new EndpointError('invalid_request', `A URI of the request ${reason}.`);
}
