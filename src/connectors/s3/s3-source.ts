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
    const listed = await this.#objects.list(bucket, prefix, inputLimits.maxEntries, signal);
    const files = listed.filter((object) => !object.key.endsWith('/') && !isIgnorable(nameOf(object.key)));
    if (files.length === 0) throw new EndpointError('input_not_found', 'No object lies under the S3 URI of the input.');
    const bytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    if (bytes > inputLimits.maxBytes) {
      throw new EndpointError('payload_too_large', `The input holds more than ${inputLimits.maxBytes} bytes.`);
    }
    return files.map((object) => ({ bucket, key: object.key }));
  }
}

const nameOf = (key: string): string => key.slice(key.lastIndexOf('/') + 1);
