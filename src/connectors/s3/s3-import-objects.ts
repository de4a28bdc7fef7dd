import { readFile } from 'node:fs/promises';
import type { S3Listed, S3Objects } from './s3-objects.ts';

const maxObjectBytes = 4 * 1024 ** 3;

/** The S3 side of the local store's import jobs (its `ImportObjectStore` port). */
export class S3ImportObjects {
  readonly #objects: S3Objects;

  constructor(objects: S3Objects) {
    this.#objects = objects;
  }

  list(location: { bucket: string; prefix: string }, signal: AbortSignal): AsyncIterable<S3Listed> {
    return this.#objects.list(location.bucket, location.prefix, signal);
  }

  download(bucket: string, key: string, toPath: string, signal: AbortSignal): Promise<void> {
    return this.#objects.download({ bucket, key }, toPath, { limitBytes: maxObjectBytes, signal });
  }

  async upload(
    bucket: string,
    key: string,
    content: Uint8Array | { readonly path: string },
    contentType: string,
    signal: AbortSignal,
  ): Promise<void> {
    const bytes = content instanceof Uint8Array ? content : await readFile(content.path);
    await this.#objects.write({ bucket, key }, bytes, contentType, signal);
  }
}
