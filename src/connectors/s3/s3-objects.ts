import { rm, stat } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { S3Client } from '@aws-sdk/client-s3';
import { EndpointError } from '../../errors.ts';
import { awsStatus, isAwsNotFound, isTransientAwsError, upstreamError } from '../aws-errors.ts';
import { intoFile } from '../into-file.ts';
import { readStream } from '../read-stream.ts';
import { type Attempt, defaultRetryPolicy, type RetryPolicy, withRetry } from '../retry.ts';
import { watched } from '../watched.ts';

/** Where S3 is. All undefined: AWS's own, as the SDK's environment says. */
export interface S3Location {
  readonly region?: string | undefined;
  /** Another endpoint; buckets then stand in the path, since no DNS names them. */
  readonly endpoint?: string | undefined;
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined;
  readonly maxSockets: number;
  readonly retry?: RetryPolicy;
}

export interface S3Object {
  readonly bucket: string;
  readonly key: string;
}

export interface S3ObjectHead {
  readonly sizeBytes: number;
  readonly etag: string;
  readonly lastModifiedMs: number;
}

export interface S3Listed {
  readonly key: string;
  readonly sizeBytes: number;
}

/**
 * The calls to S3 that this program makes, each with its retries and in its error words. The SDK is imported on first
 * use. Buckets and keys stay out of every message: they may hold patient data.
 */
export class S3Objects {
  readonly #location: S3Location;
  readonly #retry: RetryPolicy;
  #client: Promise<S3Client> | undefined;

  constructor(location: S3Location) {
    this.#location = location;
    this.#retry = location.retry ?? defaultRetryPolicy;
  }

  /** Size and version of an object; undefined when there is none. */
  async head(object: S3Object, signal: AbortSignal): Promise<S3ObjectHead | undefined> {
    const { HeadObjectCommand } = await import('@aws-sdk/client-s3');
    const command = new HeadObjectCommand({ Bucket: object.bucket, Key: object.key });
    return this.#orUndefined(
      'HeadObject',
      this.#call(signal, async (client, attempt) => {
        const answer = await client.send(command, { abortSignal: attempt.signal });
        return {
          sizeBytes: answer.ContentLength ?? 0,
          etag: answer.ETag ?? '',
          lastModifiedMs: answer.LastModified?.getTime() ?? 0,
        };
      }),
    );
  }

  /** The bytes of a small object; undefined when there is none. */
  async read(object: S3Object, limitBytes: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const { GetObjectCommand } = await import('@aws-sdk/client-s3');
    const command = new GetObjectCommand({ Bucket: object.bucket, Key: object.key });
    return this.#orUndefined(
      'GetObject',
      this.#call(signal, async (client, attempt) => {
        const answer = await client.send(command, { abortSignal: attempt.signal });
        return readStream(answer.Body as Readable, limitBytes, attempt);
      }),
    );
  }

  /**
   * Downloads an object into a new file, checked against its length.
   *
   * @param options.ifMatch - only this version: another one fails with `conflict`
   * @throws EndpointError `input_not_found`, `conflict`, `payload_too_large`, `upstream_failed`
   */
  async download(
    object: S3Object,
    path: string,
    options: { readonly limitBytes: number; readonly ifMatch?: string | undefined; readonly signal: AbortSignal },
  ): Promise<void> {
    const { GetObjectCommand } = await import('@aws-sdk/client-s3');
    const command = new GetObjectCommand({ Bucket: object.bucket, Key: object.key, IfMatch: options.ifMatch });
    await this.#call(options.signal, async (client, attempt) => {
      const answer = await client.send(command, { abortSignal: attempt.signal });
      const expected = answer.ContentLength;
      const body = answer.Body as Readable;
      // A body that is not read fails when its socket is closed with the attempt: nobody else would hear that.
      body.on('error', () => undefined);
      if ((expected ?? 0) > options.limitBytes) throw tooLarge(options.limitBytes);
      const onAbort = () => void body.destroy(new Error('aborted'));
      attempt.signal.addEventListener('abort', onAbort, { once: true });
      const watch = watched(attempt, options.limitBytes, () => tooLarge(options.limitBytes));
      await intoFile(path, {}, (file) => pipeline(body, watch, file));
      const { size } = await stat(path);
      if (expected !== undefined && size !== expected) throw new Error('aborted');
    }).catch(async (error: unknown) => {
      await rm(path, { force: true });
      if (isAwsNotFound(error))
        throw new EndpointError('input_not_found', 'An object of the input does not exist in S3.');
      if (awsStatus(error) === 412)
        throw new EndpointError('conflict', 'The S3 object changed while it was being read.');
      throw upstreamError('S3', 'GetObject', 'an object', error);
    });
  }

  /** All objects under a prefix, in S3's order (UTF-8 bytes), page by page. */
  async *list(bucket: string, prefix: string, signal: AbortSignal): AsyncGenerator<S3Listed> {
    const { ListObjectsV2Command } = await import('@aws-sdk/client-s3');
    let token: string | undefined;
    do {
      const command = new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix, ContinuationToken: token });
      const page = await this.#call(signal, (client, attempt) =>
        client.send(command, { abortSignal: attempt.signal }),
      ).catch((error: unknown) => {
        if (isAwsNotFound(error)) throw new EndpointError('input_not_found', 'The S3 bucket of a URI does not exist.');
        throw upstreamError('S3', 'ListObjectsV2', 'a prefix', error);
      });
      for (const { Key, Size } of page.Contents ?? []) if (Key !== undefined) yield { key: Key, sizeBytes: Size ?? 0 };
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  /** Writes an object. The SDK sends a checksum with it. */
  async write(object: S3Object, bytes: Uint8Array, contentType: string, signal: AbortSignal): Promise<void> {
    const { PutObjectCommand } = await import('@aws-sdk/client-s3');
    const target = { Bucket: object.bucket, Key: object.key, ContentType: contentType };
    // An upload gives no sign of life until it is through: allow for 256 KiB/s besides.
    const stallTimeoutMs = this.#retry.stallTimeoutMs + bytes.length / 262.144;
    await this.#call(
      signal,
      (client, attempt) =>
        client.send(new PutObjectCommand({ ...target, Body: bytes }), { abortSignal: attempt.signal }),
      stallTimeoutMs,
    ).catch((error: unknown) => {
      if (isAwsNotFound(error))
        throw new EndpointError('upstream_failed', 'The S3 bucket of the output does not exist.');
      throw upstreamError('S3', 'PutObject', 'an output', error);
    });
  }

  /** Removes an object; one that is not there is no fault. */
  async remove(object: S3Object, signal: AbortSignal): Promise<void> {
    const { DeleteObjectCommand } = await import('@aws-sdk/client-s3');
    const command = new DeleteObjectCommand({ Bucket: object.bucket, Key: object.key });
    await this.#orUndefined(
      'DeleteObject',
      this.#call(signal, (client, attempt) => client.send(command, { abortSignal: attempt.signal })),
    );
  }

  /** Closes the kept-alive sockets. */
  async close(): Promise<void> {
    (await this.#client)?.destroy();
    this.#client = undefined;
  }

  async #orUndefined<T>(action: string, call: Promise<T>): Promise<T | undefined> {
    try {
      return await call;
    } catch (error) {
      if (isAwsNotFound(error)) return undefined;
      throw upstreamError('S3', action, 'an object', error);
    }
  }

  async #call<T>(
    signal: AbortSignal,
    run: (client: S3Client, attempt: Attempt) => Promise<T>,
    stallTimeoutMs = this.#retry.stallTimeoutMs,
  ): Promise<T> {
    this.#client ??= createS3Client(this.#location);
    const client = await this.#client;
    return withRetry((attempt) => run(client, attempt), {
      policy: { ...this.#retry, stallTimeoutMs },
      signal,
      isTransient: isTransientAwsError,
    });
  }
}

async function createS3Client(location: S3Location): Promise<S3Client> {
  const { S3Client } = await import('@aws-sdk/client-s3');
  const agentOptions = { keepAlive: true, maxSockets: location.maxSockets };
  const { endpoint } = location;
  const region = location.region ?? (endpoint === undefined ? undefined : 'us-east-1');
  return new S3Client({
    maxAttempts: 1,
    requestHandler: { httpAgent: new HttpAgent(agentOptions), httpsAgent: new HttpsAgent(agentOptions) },
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    ...(location.credentials ? { credentials: location.credentials } : {}),
  });
}

function tooLarge(limitBytes: number): EndpointError {
  return new EndpointError('payload_too_large', `An S3 object is larger than the ${limitBytes} bytes allowed for it.`);
}
