import { stat } from 'node:fs/promises';
import { EndpointError } from '../../errors.ts';
import { contentTypeParameters } from '../content-type.ts';
import { openDicomFiles } from '../image-files.ts';
import type { ImageSource, InputReference, LoadedInput } from '../image-source.ts';
import { kindOf, openFileList } from '../open-file-list.ts';
import { findMultipartParts } from './multipart-parts.ts';

/** Content types whose bytes tell what they are. */
const sniffed = new Set([
  'application/octet-stream',
  'application/x-nifti',
  'application/gzip',
  'application/x-gzip',
  'application/dicom',
  'image/png',
]);

/** Reads a request's own body: a zip of DICOM files, `multipart/related` of them, one DICOM object, NIfTI or PNG. */
export class BodySource implements ImageSource {
  accepts(reference: InputReference): boolean {
    return 'body' in reference;
  }

  async open(reference: InputReference, options: { signal: AbortSignal; scratchDir: string }): Promise<LoadedInput> {
    if (!('body' in reference)) throw new EndpointError('internal', 'This source reads request bodies only.');
    const { path, contentType } = reference.body;
    const { type, parameters } = contentTypeParameters(contentType);
    const file = { path, name: 'body' };
    if ((await stat(path)).size === 0)
      throw new EndpointError('input_not_found', 'The body is empty: it holds no images.');
    switch (type) {
      case 'multipart/related': {
        const inner = parameters.get('type')?.toLowerCase();
        if (inner !== 'application/dicom') throw unsupported('multipart/related must have type="application/dicom"');
        const parts = await findMultipartParts(path, parameters.get('boundary') ?? '');
        return { kind: 'dicom', series: await openDicomFiles(parts, options.signal) };
      }
      case 'application/zip':
      case 'application/x-zip-compressed':
        if ((await kindOf(file)) !== 'zip') throw unsupported('the body is no zip');
        return openFileList([file], options);
      default:
        if (!sniffed.has(type)) throw unsupported('this content type is not read');
        return openFileList([file], options);
    }
  }
}

function unsupported(reason: string): EndpointError {
  return new EndpointError(
    'unsupported_media_type',
    `The body cannot be used: ${reason}. Send application/json, application/zip of DICOM files, multipart/related; type="application/dicom", NIfTI or PNG.`,
  );
}
