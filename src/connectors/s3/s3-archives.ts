import { EndpointError } from '../../errors.ts';
import { parseUri } from '../parsed-uri.ts';
import type { S3Object, S3Objects } from './s3-objects.ts';

/** The `StoredArchive` of the model cache's port; objects appear whole, so there is no time of change to watch. */
interface StoredObject {
  readonly kind: 'archive';
  readonly version: string;
  readonly sizeBytes: number;
}

/** Model archives under a prefix of a bucket: `{prefix}/{TargetModel}`. */
export class S3Archives {
  readonly #objects: S3Objects;
  readonly #bucket: string;
  readonly #prefix: string;

  /** @param uri - `s3://bucket/prefix/` @throws EndpointError `invalid_request` */
  constructor(objects: S3Objects, uri: string) {
    const parsed = parseUri(uri);
    if (parsed.scheme !== 's3') throw new EndpointError('invalid_request', 'MODEL_DATA_URL must begin with s3://.');
    this.#objects = objects;
    this.#bucket = parsed.bucket;
    this.#prefix = parsed.key === '' || parsed.key.endsWith('/') ? parsed.key : `${parsed.key}/`;
  }

  async head(target: string, signal: AbortSignal): Promise<StoredObject | undefined> {
    const head = await this.#objects.head(this.#object(target), signal);
    return head && { kind: 'archive', version: head.etag, sizeBytes: head.sizeBytes };
  }

  async download(
    target: string,
    stored: { version: string; sizeBytes: number },
    toPath: string,
    signal: AbortSignal,
  ): Promise<void> {
    const options = { limitBytes: stored.sizeBytes, ifMatch: stored.version, signal };
    await this.#objects.download(this.#object(target), toPath, options).catch((error: unknown) => {
      if (!(error instanceof EndpointError)) throw error;
      if (error.code === 'input_not_found') {
        throw new EndpointError('model_not_found', 'The model archive is no longer in S3.', { cause: error });
      }
      if (error.code === 'conflict' || error.code === 'payload_too_large') {
        const message = 'The model archive changed in S3 while it was being downloaded. Try again.';
        throw new EndpointError('upstream_failed', message, { cause: error });
      }
      throw error;
    });
  }

  #object(target: string): S3Object {
    return { bucket: this.#bucket, key: `${this.#prefix}${target}` };
  }
}
