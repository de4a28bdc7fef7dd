import { mkdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { crc32 } from 'node:zlib';
import { type Entry, openPromise, type ZipFile } from 'yauzl';
import { EndpointError, throwIfAborted } from '../errors.ts';
import type { ImageFile } from './image-files.ts';
import { isIgnorable } from './image-files.ts';
import { intoFile } from './into-file.ts';

export interface ZipLimits {
  readonly maxEntries: number;
  /** Of all entries together, unpacked. */
  readonly maxBytes: number;
}

/**
 * Unpacks a zip of image files into numbered files of a folder; the names inside are never used as paths. Each entry's
 * length and CRC-32 are checked.
 *
 * @throws EndpointError `unprocessable_image` (damaged, encrypted), `payload_too_large`
 */
export async function unpackZip(
  path: string,
  folder: string,
  limits: ZipLimits,
  signal: AbortSignal,
): Promise<ImageFile[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const packedBytes = (await stat(path)).size;
  // Slices pack 2 to 10 fold, empty ones more: a thousandfold is a bomb.
  const maxBytes = Math.min(limits.maxBytes, 64 * 1024 ** 2 + packedBytes * 200);
  const zip = await openPromise(path, { lazyEntries: true, autoClose: false, strictFileNames: false }).catch(damaged);
  try {
    const files: ImageFile[] = [];
    let entries = 0;
    let bytes = 0;
    for await (const entry of zip.eachEntry()) {
      throwIfAborted(signal);
      entries += 1;
      if (entries > limits.maxEntries) throw tooLarge(`more than ${limits.maxEntries} entries`);
      const name = basename(entry.fileName.replaceAll('\\', '/'));
      if (entry.fileName.endsWith('/') || isIgnorable(name) || entry.fileName.startsWith('__MACOSX/')) continue;
      if (entry.isEncrypted())
        throw new EndpointError('unprocessable_image', 'The zip is encrypted. Send it without a password.');
      const target = join(folder, String(entries).padStart(6, '0'));
      bytes += await unpackEntry(zip, entry, target, maxBytes - bytes, signal);
      files.push({ path: target, name });
    }
    return files;
  } catch (error) {
    throw damaged(error, signal);
  } finally {
    zip.close();
  }
}

async function unpackEntry(
  zip: ZipFile,
  entry: Entry,
  target: string,
  budgetBytes: number,
  signal: AbortSignal,
): Promise<number> {
  const source = await zip.openReadStreamPromise(entry);
  let length = 0;
  let crc = 0;
  const check = new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      length += chunk.length;
      crc = crc32(chunk, crc);
      done(length > budgetBytes ? tooLarge('more unpacked bytes than is allowed') : null, chunk);
    },
  });
  await intoFile(target, { mode: 0o600 }, (file) => pipeline(source, check, file, { signal }));
  if (crc !== entry.crc32 || length !== entry.uncompressedSize) {
    throw new EndpointError(
      'unprocessable_image',
      'An entry of the zip is damaged: its checksum does not match. Send it again.',
    );
  }
  return length;
}

function tooLarge(what: string): EndpointError {
  return new EndpointError('payload_too_large', `The zip holds ${what}. Send one series, or put it in a folder.`);
}

function damaged(error: unknown, signal?: AbortSignal): never {
  throwIfAborted(signal);
  if (error instanceof EndpointError) throw error;
  const code = (error as NodeJS.ErrnoException).code;
  if (code !== undefined && /^E[A-Z]+$/.test(code)) throw error;
  throw new EndpointError('unprocessable_image', 'The zip is damaged or cut and cannot be unpacked. Send it again.', {
    cause: error,
  });
}
