import { randomUUID } from 'node:crypto';
import { EndpointError } from '../../errors.ts';
import type {
  Publication,
  PublishedObject,
  PublishOptions,
  PublishTarget,
  ResultPublisher,
} from '../result-publisher.ts';
import type { DicomWebClient } from './dicomweb-client.ts';

const maxAnswerBytes = 64 * 1024 ** 2;
const json = 'application/dicom+json';

/** DICOM JSON (PS3.18 annex F), as far as it is read here. */
type JsonDataset = Readonly<Record<string, { readonly Value?: readonly unknown[] } | undefined>>;

/** Publishes results to any DICOMweb server by STOW-RS (PS3.18 §10.5), after QIDO-RS has told what is there already. */
export class DicomWebPublisher implements ResultPublisher {
  readonly #client: DicomWebClient;

  constructor(client: DicomWebClient) {
    this.#client = client;
  }

  accepts(target: PublishTarget): boolean {
    return target.kind === 'dicomweb';
  }

  async check(target: PublishTarget): Promise<void> {
    await this.#client.root(urlOf(target));
  }

  async publish(
    target: PublishTarget,
    objects: readonly PublishedObject[],
    { signal }: PublishOptions,
  ): Promise<Publication> {
    const root = await this.#client.root(urlOf(target));
    const missing: PublishedObject[] = [];
    for (const object of objects) if (!(await this.#holds(root, object, signal))) missing.push(object);
    for (const study of new Set(missing.map(({ studyInstanceUid }) => studyInstanceUid))) {
      await this.#store(
        root,
        study,
        missing.filter(({ studyInstanceUid }) => studyInstanceUid === study),
        signal,
      );
    }
    return { target, wasThere: missing.length === 0 };
  }

  async #holds(root: string, object: PublishedObject, signal: AbortSignal): Promise<boolean> {
    const { studyInstanceUid, seriesInstanceUid, sopInstanceUid } = object;
    try {
      const answer = await this.#client.read(
        root,
        {
          action: 'QIDO-RS SearchForInstances',
          path: `/studies/${studyInstanceUid}/series/${seriesInstanceUid}/instances?SOPInstanceUID=${sopInstanceUid}`,
          headers: { accept: json },
          accepts: [200, 204],
          signal,
        },
        maxAnswerBytes,
      );
      const found = answer.status === 204 || answer.body.length === 0 ? [] : parse(answer.body);
      const list = Array.isArray(found) ? (found as JsonDataset[]) : [];
      return list.some((each) => each['00080018']?.Value?.[0] === sopInstanceUid);
    } catch (error) {
      // Some servers say so when they have nothing of the series.
      if (error instanceof EndpointError && error.code === 'input_not_found') return false;
      throw error;
    }
  }

  async #store(root: string, study: string, objects: readonly PublishedObject[], signal: AbortSignal): Promise<void> {
    const boundary = randomUUID();
    const answer = await this.#client.read(
      root,
      {
        action: 'STOW-RS StoreInstances',
        path: `/studies/${study}`,
        method: 'POST',
        headers: {
          accept: json,
          'content-type': `multipart/related; type="application/dicom"; boundary=${boundary}`,
        },
        body: multipart(objects, boundary),
        // 202 and 409 tell in their bodies which objects failed.
        accepts: [200, 202, 409],
        signal,
      },
      maxAnswerBytes,
    );
    checkStored(parse(answer.body) as JsonDataset, objects);
  }
}

function multipart(objects: readonly PublishedObject[], boundary: string): Uint8Array {
  const pieces = objects.flatMap(({ bytes }) => [
    Buffer.from(`--${boundary}\r\nContent-Type: application/dicom\r\n\r\n`),
    bytes,
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...pieces, Buffer.from(`--${boundary}--\r\n`)]);
}

/** Every object must stand among the stored ones; a failure's reason is a number of PS3.18 table I.2-2. */
function checkStored(answer: JsonDataset, objects: readonly PublishedObject[]): void {
  const itemsOf = (tag: string): JsonDataset[] => (answer[tag]?.Value ?? []) as JsonDataset[];
  const uidsOf = (tag: string): unknown[] => itemsOf(tag).map((item) => item['00081155']?.Value?.[0]);
  const stored = new Set(uidsOf('00081199'));
  const missing = objects.filter(({ sopInstanceUid }) => !stored.has(sopInstanceUid));
  if (missing.length === 0) return;
  const reason = itemsOf('00081198')[0]?.['00081197']?.Value?.[0];
  const why =
    typeof reason === 'number' ? ` (failure reason 0x${reason.toString(16).toUpperCase().padStart(4, '0')})` : '';
  throw new EndpointError(
    'upstream_failed',
    `The DICOMweb server did not store ${missing.length} of ${objects.length} results${why}.`,
  );
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(body).toString('utf8'));
  } catch (cause) {
    throw new EndpointError('upstream_failed', 'The answer of the DICOMweb server is no DICOM JSON.', { cause });
  }
}

function urlOf(target: PublishTarget): string {
  if (target.kind === 'dicomweb') return target.url;
  throw new EndpointError('internal', 'This publisher writes to DICOMweb servers only.');
}
