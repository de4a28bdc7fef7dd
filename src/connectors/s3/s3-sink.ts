import { EndpointError } from '../../errors.ts';
import { type Logger, loggableError } from '../../logger.ts';
import type { AllowedUris } from '../allowed-uris.ts';
import type { OutputSink, OutputTransaction } from '../output-sink.ts';
import type { S3Object, S3Objects } from './s3-objects.ts';

const maxResultBytes = 64 * 1024 ** 2;
/** What a failed request may still take to clean up after itself, past its own deadline. */
const cleanUpTimeoutMs = 10_000;

const statusFile = 'status.json';

/** Writes results under a prefix of a bucket; `result.json` is put last and taken away first. */
export class S3Sink implements OutputSink {
  readonly #objects: S3Objects;
  readonly #allowed: AllowedUris;
  readonly #logger: Logger;

  constructor(objects: S3Objects, allowed: AllowedUris, logger: Logger) {
    this.#objects = objects;
    this.#allowed = allowed;
    this.#logger = logger;
  }

  accepts(uri: string): boolean {
    return /^s3:/i.test(uri);
  }

  async readResult(prefixUri: string, signal: AbortSignal): Promise<unknown> {
    const prefix = await this.#prefix(prefixUri);
    const bytes = await this.#objects.read(objectUnder(prefix, 'result.json'), maxResultBytes, signal);
    if (bytes === undefined) return undefined;
    try {
      return JSON.parse(Buffer.from(bytes).toString('utf8'));
    } catch (cause) {
      throw new EndpointError('upstream_failed', 'The result.json under the output prefix is damaged.', { cause });
    }
  }

  async readStatus(prefixUri: string, signal: AbortSignal): Promise<unknown> {
    const prefix = await this.#prefix(prefixUri);
    const bytes = await this.#objects.read(objectUnder(prefix, statusFile), maxResultBytes, signal);
    try {
      return bytes && JSON.parse(Buffer.from(bytes).toString('utf8'));
    } catch {
      return undefined;
    }
  }

  async writeStatus(prefixUri: string, status: unknown): Promise<void> {
    const object = objectUnder(await this.#prefix(prefixUri), statusFile);
    const bytes = Buffer.from(`${JSON.stringify(status, undefined, 2)}\n`);
    await this.#objects.write(object, bytes, 'application/json', AbortSignal.timeout(cleanUpTimeoutMs));
  }

  async begin(prefixUri: string, signal: AbortSignal): Promise<OutputTransaction> {
    const prefix = await this.#prefix(prefixUri);
    // The mark of an earlier result goes before its files are overwritten: a prefix never holds a mixture that counts.
    await this.#objects.remove(objectUnder(prefix, 'result.json'), signal);
    return new PrefixTransaction(this.#objects, prefix, signal, this.#logger);
  }

  async discard(prefixUri: string): Promise<void> {
    const signal = AbortSignal.timeout(cleanUpTimeoutMs);
    const prefix = await this.#prefix(prefixUri);
    if (await this.#objects.head(objectUnder(prefix, 'result.json'), signal)) return;
    const { bucket } = prefix;
    for await (const { key } of this.#objects.list(bucket, objectUnder(prefix, '').key, signal)) {
      // It tells what became of the work, and is no part of a result.
      if (!key.endsWith(`/${statusFile}`)) await this.#objects.remove({ bucket, key }, signal);
    }
  }

  async #prefix(uri: string): Promise<S3Object> {
    const checked = await this.#allowed.check(uri);
    if (checked.scheme !== 's3') throw new EndpointError('internal', 'This sink writes to S3 only.');
    return checked;
  }
}

class PrefixTransaction implements OutputTransaction {
  readonly #objects: S3Objects;
  readonly #prefix: S3Object;
  readonly #signal: AbortSignal;
  readonly #logger: Logger;
  readonly #written: { readonly object: S3Object; readonly sizeBytes: number }[] = [];
  #committed = false;

  constructor(objects: S3Objects, prefix: S3Object, signal: AbortSignal, logger: Logger) {
    this.#objects = objects;
    this.#prefix = prefix;
    this.#signal = signal;
    this.#logger = logger;
  }

  async write(name: string, bytes: Uint8Array, contentType: string): Promise<string> {
    if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name))
      throw new EndpointError('internal', 'An output has no plain file name.');
    const object = objectUnder(this.#prefix, name);
    // Noted before the call: an upload that failed on our side may have arrived all the same.
    this.#written.push({ object, sizeBytes: bytes.length });
    await this.#objects.write(object, bytes, contentType, this.#signal);
    return `s3://${object.bucket}/${object.key}`;
  }

  async commit(result: unknown): Promise<void> {
    // Another request's clean-up may have met our files: the mark is put only over what is all there.
    for (const { object, sizeBytes } of this.#written) {
      const head = await this.#objects.head(object, this.#signal);
      if (head?.sizeBytes !== sizeBytes) {
        throw new EndpointError(
          'upstream_failed',
          'An output changed in S3 before the result was complete. Try again.',
        );
      }
    }
    const bytes = Buffer.from(`${JSON.stringify(result, undefined, 2)}\n`);
    await this.write('result.json', bytes, 'application/json');
    this.#committed = true;
  }

  async abort(): Promise<void> {
    if (this.#committed) return;
    const signal = AbortSignal.timeout(cleanUpTimeoutMs);
    // The commit mark first, should its upload have arrived after all.
    for (const { object } of this.#written.reverse()) {
      await this.#objects.remove(object, signal).catch((thrown: unknown) => {
        this.#logger.warn({ error: loggableError(thrown) }, 'a file of a failed request cannot be removed from S3');
      });
    }
  }
}

function objectUnder(prefix: S3Object, name: string): S3Object {
  const folder = prefix.key === '' || prefix.key.endsWith('/') ? prefix.key : `${prefix.key}/`;
  return { bucket: prefix.bucket, key: `${folder}${name}` };
}
