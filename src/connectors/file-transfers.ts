import { copyFile, mkdir, readFile, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { replaceFile } from '../durable-files.ts';
import { EndpointError, throwIfAborted } from '../errors.ts';
import type { AllowedUris } from './allowed-uris.ts';
import type { S3Objects } from './s3/s3-objects.ts';

export interface FileTransfersOptions {
  readonly objects: S3Objects;
  /** What may be fetched. */
  readonly readable: AllowedUris;
  /** Where may be stored. */
  readonly writable: AllowedUris;
}

/** Brings single files or objects to this machine and takes them away: bodies and answers of asynchronous jobs. */
export class FileTransfers {
  readonly #options: FileTransfersOptions;

  constructor(options: FileTransfersOptions) {
    this.#options = options;
  }

  /**
   * Fetches a file or an object into a new file, whose folder is made.
   *
   * @throws EndpointError `forbidden`, `invalid_request`, `input_not_found`, `payload_too_large`, `upstream_failed`; the
   *   signal's reason
   */
  async fetch(
    { uri, toPath, limitBytes }: { readonly uri: string; readonly toPath: string; readonly limitBytes: number },
    signal: AbortSignal,
  ): Promise<void> {
    const from = await this.#options.readable.check(uri);
    throwIfAborted(signal);
    await mkdir(dirname(toPath), { recursive: true, mode: 0o700 });
    if (from.scheme === 's3') {
      await this.#options.objects.download(from, toPath, { limitBytes, signal });
      return;
    }
    try {
      const found = await stat(from.path);
      if (!found.isFile()) throw new EndpointError('input_not_found', 'The input is no file.');
      if (found.size > limitBytes) {
        throw new EndpointError('payload_too_large', `The input has more than ${limitBytes} bytes.`);
      }
      await copyFile(from.path, toPath);
    } catch (thrown) {
      throw readError(thrown);
    }
  }

  /**
   * Stores a file under a URI at once: readers see the old content, none, or all of the new one.
   *
   * @throws EndpointError `forbidden`, `upstream_failed`; the signal's reason
   */
  async store(
    { uri, fromPath, contentType }: { readonly uri: string; readonly fromPath: string; readonly contentType: string },
    signal: AbortSignal,
  ): Promise<void> {
    const to = await this.#options.writable.check(uri);
    const bytes = await readFile(fromPath);
    throwIfAborted(signal);
    if (to.scheme === 's3') {
      await this.#options.objects.write(to, bytes, contentType, signal);
      return;
    }
    try {
      await mkdir(dirname(to.path), { recursive: true });
      await replaceFile(to.path, bytes);
    } catch (cause) {
      const code = (cause as NodeJS.ErrnoException).code ?? 'unknown';
      throw new EndpointError('upstream_failed', `The output cannot be written (${code}).`, { cause });
    }
  }
}

function readError(thrown: unknown): unknown {
  if (thrown instanceof EndpointError) return thrown;
  const code = (thrown as NodeJS.ErrnoException).code;
  if (code === 'ENOENT' || code === 'ENOTDIR') {
    return new EndpointError('input_not_found', 'The input file does not exist.', { cause: thrown });
  }
  if (code === 'EACCES' || code === 'EPERM') {
    return new EndpointError('upstream_failed', 'The input file cannot be read: access denied.', { cause: thrown });
  }
  return thrown;
}
