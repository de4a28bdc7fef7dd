import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EndpointError } from '../../errors.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import { findMultipartParts } from '../body/multipart-parts.ts';
import { contentTypeParameters } from '../content-type.ts';
import { openDicomFiles } from '../image-files.ts';
import type { ImageSource, InputReference, LoadedInput, SourceSeries } from '../image-source.ts';
import { inputLimits } from '../open-file-list.ts';
import type { DicomWebClient } from './dicomweb-client.ts';

/**
 * Reads a study or series of any DICOMweb server by WADO-RS (PS3.18 §10.4): the objects come in one multipart answer,
 * in whatever syntax they are kept, and are spooled to the request's scratch folder.
 */
export class DicomWebSource implements ImageSource {
  readonly #client: DicomWebClient;

  constructor(client: DicomWebClient) {
    this.#client = client;
  }

  accepts(reference: InputReference): boolean {
    return 'dicomweb' in reference;
  }

  async open(reference: InputReference, options: { signal: AbortSignal; scratchDir: string }): Promise<LoadedInput> {
    if (!('dicomweb' in reference)) throw new EndpointError('internal', 'This source reads DICOMweb servers only.');
    const { studyInstanceUid, seriesInstanceUid } = reference;
    const { signal, scratchDir } = options;
    const root = await this.#client.root(reference.dicomweb);
    await mkdir(scratchDir, { recursive: true, mode: 0o700 });
    const path = join(scratchDir, 'dicomweb');
    const series = seriesInstanceUid === undefined ? '' : `/series/${seriesInstanceUid}`;
    const answer = await this.#client.download(
      root,
      {
        action: series === '' ? 'WADO-RS RetrieveStudy' : 'WADO-RS RetrieveSeries',
        path: `/studies/${studyInstanceUid}${series}`,
        headers: { accept: 'multipart/related; type="application/dicom"; transfer-syntax=*' },
        // 206 is an answer too, of which a part is missing: no image to work on.
        accepts: [200],
        signal,
      },
      path,
      inputLimits.maxBytes,
    );
    const found = await openParts(path, answer.contentType, signal);
    checkUids(found, studyInstanceUid, seriesInstanceUid);
    return { kind: 'dicom', series: found };
  }
}

async function openParts(path: string, contentType: string, signal: AbortSignal): Promise<SourceSeries[]> {
  const { type, parameters } = contentTypeParameters(contentType);
  if (type !== 'multipart/related') throw unusable('it is no multipart/related');
  try {
    const parts = await findMultipartParts(path, parameters.get('boundary') ?? '');
    return await openDicomFiles(parts, signal);
  } catch (error) {
    // It is the server that sent it, not our caller.
    if (error instanceof EndpointError && ['invalid_request', 'unsupported_media_type'].includes(error.code)) {
      throw unusable(error.message.replace(/\.$/, ''), error);
    }
    throw error;
  }
}

/** What was not asked for must not get into a volume. */
function checkUids(found: readonly SourceSeries[], study: string, series: string | undefined): void {
  const isAsked = found.every(
    (one) =>
      (series === undefined || one.seriesInstanceUid === series) &&
      one.instances.every(({ attributes }) => attributes.string(tags.StudyInstanceUID) === study),
  );
  if (!isAsked) throw unusable('it holds instances of another study or series');
}

function unusable(reason: string, cause?: unknown): EndpointError {
  return new EndpointError(
    'upstream_failed',
    `The answer of the DICOMweb server cannot be used: ${reason}.`,
    cause === undefined ? {} : { cause },
  );
}
