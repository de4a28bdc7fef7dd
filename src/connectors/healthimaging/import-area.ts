import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { EndpointError } from '../../errors.ts';
import { parseUri } from '../parsed-uri.ts';
import type { S3Objects } from '../s3/s3-objects.ts';

/** A place that an import job reads from and writes to, and we too: `in/` and `out/` under one fresh prefix. */
export interface ImportArea {
  readonly inputUri: string;
  readonly outputUri: string;
  put(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<void>;
  /** A file of the job's output, by its path under `out/`; undefined when there is none. */
  read(name: string, signal: AbortSignal): Promise<Uint8Array | undefined>;
  /** Removes everything. Never throws: what stays behind is no result. */
  remove(): Promise<void>;
}

/** What the lists of a job may grow to: 5,000 files a job. */
const maxListBytes = 64 * 1024 ** 2;
/** What removing may take when the request itself is over. */
const removeTimeoutMs = 10_000;

/**
 * Opens an area under a folder of this machine or an `s3://` prefix.
 *
 * @throws EndpointError `invalid_request` for a malformed URI
 */
export async function openImportArea(uri: string, objects: S3Objects): Promise<ImportArea> {
  const parsed = parseUri(uri);
  const name = `map-endpoint-${randomUUID()}`;
  if (parsed.scheme === 's3') {
    const key = parsed.key === '' || parsed.key.endsWith('/') ? parsed.key : `${parsed.key}/`;
    return new S3Area(objects, parsed.bucket, `${key}${name}/`);
  }
  if (parsed.scheme !== 'file') throw new EndpointError('invalid_request', 'An import area is a folder or s3:// URI.');
  const folder = join(parsed.path, name);
  await mkdir(join(folder, 'in'), { recursive: true, mode: 0o700 });
  await mkdir(join(folder, 'out'), { mode: 0o700 });
  return new FolderArea(folder);
}

class FolderArea implements ImportArea {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  get inputUri(): string {
    return `${pathToFileURL(this.#folder).href}/in/`;
  }

  get outputUri(): string {
    return `${pathToFileURL(this.#folder).href}/out/`;
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    await writeFile(join(this.#folder, 'in', name), bytes, { mode: 0o600 });
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return await readFile(join(this.#folder, 'out', name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }
}

class S3Area implements ImportArea {
  readonly #objects: S3Objects;
  readonly #bucket: string;
  readonly #prefix: string;

  constructor(objects: S3Objects, bucket: string, prefix: string) {
    this.#objects = objects;
    this.#bucket = bucket;
    this.#prefix = prefix;
  }

  get inputUri(): string {
    return `s3://${this.#bucket}/${this.#prefix}in/`;
  }

  get outputUri(): string {
    return `s3://${this.#bucket}/${this.#prefix}out/`;
  }

  async put(name: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    const object = { bucket: this.#bucket, key: `${this.#prefix}in/${name}` };
    await this.#objects.write(object, bytes, 'application/dicom', signal);
  }

  async read(name: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
    return await this.#objects.read({ bucket: this.#bucket, key: `${this.#prefix}out/${name}` }, maxListBytes, signal);
  }

  async remove(): Promise<void> {
    const signal = AbortSignal.timeout(removeTimeoutMs);
    for await (const { key } of this.#objects.list(this.#bucket, this.#prefix, signal)) {
      await this.#objects.remove({ bucket: this.#bucket, key }, signal);
    }
  }
}
