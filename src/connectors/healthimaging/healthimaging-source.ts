import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import type { MedicalImagingClient } from '@aws-sdk/client-medical-imaging';
import { EndpointError } from '../../errors.ts';
import { isAwsNotFound, isTransientAwsError, upstreamError } from '../aws-errors.ts';
import type { FrameMemory } from '../frame-memory.ts';
import type { EncodedFrame, ImageSource, InputReference, LoadedInput, SourceInstance } from '../image-source.ts';
import { type BodyMemory, readStream } from '../read-stream.ts';
import { defaultRetryPolicy, type RetryPolicy, withRetry } from '../retry.ts';
import { FrameRequests } from './frame-requests.ts';
import {
  adviceWhenDenied,
  createHealthImagingAgents,
  createHealthImagingClient,
  type HealthImagingAgents,
  type HealthImagingLocation,
} from './healthimaging-client.ts';
import { type DocumentInstance, type FrameDescription, parseMetadataDocument } from './metadata-document.ts';

export interface HealthImagingOptions extends HealthImagingLocation {
  /** Data stores that inputs may name; undefined = any that the credentials reach. */
  readonly allowedDatastores?: readonly string[] | undefined;
  readonly retry?: RetryPolicy;
}

/** The service's quota is 50 MB a document; text that inflates beyond this is no metadata. */
const maxDocumentBytes = 512 * 1024 ** 2;
const maxCompressedDocumentBytes = 128 * 1024 ** 2;

interface ImageSetId {
  readonly datastoreId: string;
  readonly imageSetId: string;
}

interface Answer {
  readonly body: Readable;
  readonly into?: BodyMemory;
}

/** `Content-Length`, where it is the length of what is read: of a body that no coding has changed. */
function announcedLength({ headers }: IncomingMessage): number | undefined {
  const length = headers['content-length'];
  return length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

interface Connection {
  readonly client: MedicalImagingClient;
  readonly agents: HealthImagingAgents;
  readonly frames: FrameRequests;
}

async function connect(location: HealthImagingLocation): Promise<Connection> {
  const agents = createHealthImagingAgents(location);
  const client = await createHealthImagingClient(location, agents);
  return { client, agents, frames: new FrameRequests(client, agents) };
}

/** Reads an image set of AWS HealthImaging, or of a store with its API. */
export class HealthImagingSource implements ImageSource {
  readonly #options: HealthImagingOptions;
  readonly #retry: RetryPolicy;
  #connection: Promise<Connection> | undefined;

  constructor(options: HealthImagingOptions) {
    this.#options = options;
    this.#retry = options.retry ?? defaultRetryPolicy;
  }

  accepts(reference: InputReference): boolean {
    return 'datastoreId' in reference;
  }

  async open(reference: InputReference, { signal }: { signal: AbortSignal }): Promise<LoadedInput> {
    if (!('datastoreId' in reference)) throw new EndpointError('internal', 'This source reads image sets only.');
    const { datastoreId, imageSetId } = reference;
    const allowed = this.#options.allowedDatastores;
    if (allowed && !allowed.includes(datastoreId)) {
      throw new EndpointError('forbidden', `Data store ${datastoreId} is not one of ALLOWED_DATASTORES.`);
    }
    const id = { datastoreId, imageSetId };
    const series = parseMetadataDocument(await this.#readDocument(id, signal));
    return {
      kind: 'dicom',
      series: series.map(({ seriesInstanceUid, instances }) => ({
        seriesInstanceUid,
        instances: instances.map((instance) => this.#instance(id, instance)),
      })),
    };
  }

  /** Closes the kept-alive sockets. */
  async close(): Promise<void> {
    const connection = await this.#connection;
    this.#connection = undefined;
    if (!connection) return;
    // A socket that an ended request gives back later than this would stay open.
    const { http, https } = connection.agents;
    http.maxFreeSockets = 0;
    https.maxFreeSockets = 0;
    connection.client.destroy();
  }

  #instance(id: ImageSetId, instance: DocumentInstance): SourceInstance {
    return {
      attributes: instance.attributes,
      numberOfFrames: instance.frames.length,
      readFrame: async (index, signal, memory): Promise<EncodedFrame> => {
        const frame = instance.frames[index];
        if (!frame)
          throw new EndpointError(
            'unprocessable_image',
            `Instance ${instance.sopInstanceUid} has no frame ${index + 1}.`,
          );
        const bytes = await this.#readFrame(id, frame, signal, memory);
        return {
          bytes,
          transferSyntaxUid: instance.transferSyntaxUid,
          ...(frame.decodedCrc32 === undefined ? {} : { decodedCrc32: frame.decodedCrc32 }),
          ...(frame.decodedBytes === undefined ? {} : { decodedBytes: frame.decodedBytes }),
          decodedLevels: frame.decodedLevels,
        };
      },
    };
  }

  async #readDocument(id: ImageSetId, signal: AbortSignal): Promise<unknown> {
    const { GetImageSetMetadataCommand } = await import('@aws-sdk/client-medical-imaging');
    const what = `image set ${id.imageSetId} in data store ${id.datastoreId}`;
    const bytes = await this.#call(
      'GetImageSetMetadata',
      what,
      maxCompressedDocumentBytes,
      signal,
      async ({ client }, abortSignal) => {
        const answer = await client.send(new GetImageSetMetadataCommand(id), { abortSignal });
        return { body: answer.imageSetMetadataBlob as Readable };
      },
    );
    try {
      // The SDK hands on what came: gzip, although Content-Encoding says so (field-facts §1.3).
      const isGzip = bytes[0] === 0x1f && bytes[1] === 0x8b;
      const text = isGzip ? await promisify(gunzip)(bytes, { maxOutputLength: maxDocumentBytes }) : Buffer.from(bytes);
      return JSON.parse(text.toString('utf8'));
    } catch (cause) {
      throw new EndpointError(
        'upstream_failed',
        `HealthImaging GetImageSetMetadata of ${what} gave no readable document.`,
        { cause },
      );
    }
  }

  async #readFrame(
    id: ImageSetId,
    frame: FrameDescription,
    signal: AbortSignal,
    memory: FrameMemory | undefined,
  ): Promise<Uint8Array> {
    const what = `frame ${frame.id} of image set ${id.imageSetId}`;
    const limit = frame.decodedBytes === undefined ? 512 * 1024 ** 2 : 2 * frame.decodedBytes + 1024 ** 2;
    const reference = { ...id, imageFrameId: frame.id };
    return this.#call('GetImageFrame', what, limit, signal, async ({ frames }, abortSignal) => {
      const body = await frames.send(reference, abortSignal);
      return { body, ...(memory ? { into: { memory, lengthBytes: announcedLength(body) } } : {}) };
    });
  }

  async #call(
    action: string,
    what: string,
    limitBytes: number,
    signal: AbortSignal,
    send: (connection: Connection, abortSignal: AbortSignal) => Promise<Answer>,
  ): Promise<Uint8Array> {
    this.#connection ??= connect(this.#options);
    const connection = await this.#connection;
    try {
      return await withRetry(
        async (attempt) => {
          const { body, into } = await send(connection, attempt.signal);
          attempt.alive();
          return readStream(body, limitBytes, attempt, into);
        },
        { policy: this.#retry, signal, isTransient: isTransientAwsError },
      );
    } catch (error) {
      if (error instanceof EndpointError) throw error;
      if (isAwsNotFound(error))
        throw new EndpointError('input_not_found', `HealthImaging has no ${what}.`, { cause: error });
      throw upstreamError('HealthImaging', action, what, error, await adviceWhenDenied(connection.client));
    }
  }
}
