import { mkdir, mkdtemp } from 'node:fs/promises';
import { join } from 'node:path';
import { EndpointError } from '../../errors.ts';
import type { AllowedUris } from '../allowed-uris.ts';
import { type ImageFile, isIgnorable } from '../image-files.ts';
import type { ImageSource, InputReference, LoadedInput } from '../image-source.ts';
import { mapWithLimit } from '../map-with-limit.ts';
import { inputLimits, openFileList } from '../open-file-list.ts';
import type { S3Object, S3Objects } from './s3-objects.ts';

const parallelDownloads = 16;

/**
 * Reads the DICOM files under a prefix, or one DICOM, NIfTI or zip object, by an `s3://` URI. The objects are copied to
 * the request's scratch folder first: a slice's header and its pixels then cost one call, and memory stays small.
 */
export class S3Source implements ImageSource {
  readonly #objects: S3Objects;
  readonly #allowed: AllowedUris;

  constructor(objects: S3Objects, allowed: AllowedUris) {
    this.#objects = objects;
    this.#allowed = allowed;
  }

  accepts(reference: InputReference): boolean {
    return 'uri' in reference && /^s3:/i.test(reference.uri);
  }

  async open(reference: InputReference, options: { signal: AbortSignal; scratchDir: string }): Promise<LoadedInput> {
    if (!('uri' in reference)) throw new EndpointError('internal', 'This source reads S3 URIs only.');
    const checked = await this.#allowed.check(reference.uri);
    if (checked.scheme !== 's3') throw new EndpointError('internal', 'This source reads S3 URIs only.');
    const { signal, scratchDir } = options;
    const found = await this.#list(checked, signal);
    await mkdir(scratchDir, { recursive: true, mode: 0o700 });
    const folder = await mkdtemp(join(scratchDir, 's3-'));
    // One failed download stops the others.
    const controller = new AbortController();
    const both = AbortSignal.any([signal, controller.signal]);
    const files = await mapWithLimit(found, parallelDownloads, async (object, index): Promise<ImageFile> => {
      const path = join(folder, String(index + 1).padStart(6, '0'));
      try {
        await this.#objects.download(object, path, { limitBytes: inputLimits.maxBytes, signal: both });
      } catch (error) {
        controller.abort(error);
        throw error;
      }
      return { path, name: nameOf(object.key) };
    });
    return openFileList(files, options);
  }

  /** The object itself where the URI names one, else everything under it as a folder. */
  async #list({ bucket, key }: S3Object, signal: AbortSignal): Promise<S3Object[]> {
    if (key !== '' && !key.endsWith('/')) {
      if (await this.#objects.head({ bucket, key }, signal)) return [{ bucket, key }];
    }
    const prefix = key === '' || key.endsWith('/') ? key : `${key}/`;
    const files: S3Object[] = [];
    let bytes = 0;
    for await (const object of this.#objects.list(bucket, prefix, signal)) {
      if (object.key.endsWith('/') || isIgnorable(nameOf(object.key))) continue;
      files.push({ bucket, key: object.key });
      bytes += object.sizeBytes;
      if (files.length > inputLimits.maxEntries || bytes > inputLimits.maxBytes) {
        const { maxEntries, maxBytes } = inputLimits;
        throw new EndpointError(
          'payload_too_large',
          `The input holds more than ${maxEntries} objects or ${maxBytes} bytes.`,
        );
      }
    }
    if (files.length === 0) throw new EndpointError('input_not_found', 'No object lies under the S3 URI of the input.');
    return files;
  }
}

const nameOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
