import type { Logger } from '../logger.ts';
import { AllowedUris } from './allowed-uris.ts';
import { BodySource } from './body/body-source.ts';
import { DicomWebClient, type DicomWebOptions } from './dicomweb/dicomweb-client.ts';
import { DicomWebPublisher } from './dicomweb/dicomweb-publisher.ts';
import { DicomWebSource } from './dicomweb/dicomweb-source.ts';
import { FileTransfers } from './file-transfers.ts';
import { FilesystemSink } from './filesystem/filesystem-sink.ts';
import { FilesystemSource } from './filesystem/filesystem-source.ts';
import { HealthImagingPublisher } from './healthimaging/healthimaging-publisher.ts';
import { HealthImagingSource } from './healthimaging/healthimaging-source.ts';
import type { ImageSource } from './image-source.ts';
import type { OutputSink } from './output-sink.ts';
import type { ResultPublisher } from './result-publisher.ts';
import { S3Objects } from './s3/s3-objects.ts';
import { S3Sink } from './s3/s3-sink.ts';
import { S3Source } from './s3/s3-source.ts';

/** What the drivers must know; a part of the endpoint's settings. */
export interface ConnectorSettings {
  readonly allowedUris: readonly string[];
  readonly allowedDatastores?: readonly string[] | undefined;
  readonly region?: string | undefined;
  readonly healthImagingEndpoint?: string | undefined;
  /** Secret access key of a store on this machine that asks for one. */
  readonly healthImagingSecret?: string | undefined;
  readonly s3Endpoint?: string | undefined;
  /** Prefixes that {@link FileTransfers} may write under. */
  readonly storeUris?: readonly string[] | undefined;
  /** Folder or `s3://` prefix through which results are imported into a data store, and the role for it. */
  readonly healthImagingImport?: { readonly uri: string; readonly roleArn: string } | undefined;
  readonly dicomWebAuthorization?: DicomWebOptions['authorization'];
}

export interface Connectors {
  readonly sources: readonly ImageSource[];
  readonly sinks: readonly OutputSink[];
  readonly transfers: FileTransfers;
  readonly publishers: readonly ResultPublisher[];
}

/** Sockets kept open to each service: as many frames or objects are fetched at once. */
const maxSockets = 32;

/** Wires every driver of the image source and output sink ports. No SDK is loaded before its first use. */
export function createConnectors(settings: ConnectorSettings, logger: Logger): Connectors {
  const allowed = new AllowedUris(settings.allowedUris);
  const { region } = settings;
  const endpoint = settings.healthImagingEndpoint;
  const objects = new S3Objects({ region, endpoint: settings.s3Endpoint, maxSockets });
  const location = {
    region,
    endpoint,
    // A store on this machine takes none of the user's credentials; it may ask for a token of its own.
    credentials: isLoopback(endpoint)
      ? { accessKeyId: 'local', secretAccessKey: settings.healthImagingSecret ?? 'local' }
      : undefined,
    maxSockets,
  };
  const { allowedDatastores } = settings;
  const source = new HealthImagingSource({ ...location, allowedDatastores });
  const dicomWeb = new DicomWebClient({ allowed, authorization: settings.dicomWebAuthorization });
  return {
    sources: [
      source,
      new FilesystemSource(allowed),
      new S3Source(objects, allowed),
      new DicomWebSource(dicomWeb),
      new BodySource(),
    ],
    sinks: [new FilesystemSink(allowed), new S3Sink(objects, allowed, logger)],
    transfers: new FileTransfers({ objects, readable: allowed, writable: new AllowedUris(settings.storeUris ?? []) }),
    publishers: [
      new HealthImagingPublisher({
        logger,
        location,
        allowedDatastores,
        source,
        objects,
        import: settings.healthImagingImport,
      }),
      new DicomWebPublisher(dicomWeb),
    ],
  };
}

function isLoopback(endpoint: string | undefined): boolean {
  if (endpoint === undefined) return false;
  const host = URL.parse(endpoint)?.hostname ?? '';
  return host === 'localhost' || host === '[::1]' || /^127(\.\d+){3}$/.test(host);
}
