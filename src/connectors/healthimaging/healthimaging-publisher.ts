import { createHash } from 'node:crypto';
import type { MedicalImagingClient } from '@aws-sdk/client-medical-imaging';
import { EndpointError } from '../../errors.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import { type Logger, loggableError } from '../../logger.ts';
import type {
  Publication,
  PublishedObject,
  PublishOptions,
  PublishTarget,
  ResultPublisher,
} from '../result-publisher.ts';
import type { S3Objects } from '../s3/s3-objects.ts';
import { findImageSets } from './find-image-sets.ts';
import type { HealthImagingLocation } from './healthimaging-client.ts';
import { createHealthImagingClient } from './healthimaging-client.ts';
import type { HealthImagingSource } from './healthimaging-source.ts';
import { openImportArea } from './import-area.ts';
import { runImportJob } from './import-job.ts';
import { type ImportReport, importOutputFolder, readImportOutput } from './import-output.ts';

export interface HealthImagingPublisherOptions {
  readonly location: HealthImagingLocation;
  readonly allowedDatastores?: readonly string[] | undefined;
  /** Reads image sets back, to see what is there already. */
  readonly source: HealthImagingSource;
  readonly objects: S3Objects;
  /**
   * Folder or `s3://` prefix that import jobs read from and report to, and the role that the service takes for it;
   * undefined: nothing can be published.
   */
  readonly import: { readonly uri: string; readonly roleArn: string } | undefined;
  readonly logger: Logger;
}

/** Publishes results into a data store by an import job, and gives the image sets that hold them. */
export class HealthImagingPublisher implements ResultPublisher {
  readonly #options: HealthImagingPublisherOptions;
  #client: Promise<MedicalImagingClient> | undefined;

  constructor(options: HealthImagingPublisherOptions) {
    this.#options = options;
  }

  accepts(target: PublishTarget): boolean {
    return target.kind === 'healthimaging';
  }

  async check(target: PublishTarget): Promise<void> {
    const { allowedDatastores } = this.#options;
    const { datastoreId } = healthImaging(target);
    if (allowedDatastores && !allowedDatastores.includes(datastoreId)) {
      throw new EndpointError('forbidden', `Data store ${datastoreId} is not one of ALLOWED_DATASTORES.`);
    }
    if (!this.#options.import) {
      throw new EndpointError(
        'invalid_request',
        'publish to healthimaging needs HEALTHIMAGING_IMPORT_URI and HEALTHIMAGING_IMPORT_ROLE_ARN: ask the operator to set them.',
      );
    }
  }

  async publish(
    target: PublishTarget,
    objects: readonly PublishedObject[],
    options: PublishOptions,
  ): Promise<Publication> {
    await this.check(target);
    const { datastoreId } = healthImaging(target);
    this.#client ??= createHealthImagingClient(this.#options.location);
    const client = await this.#client;
    const held = await this.#held(client, datastoreId, objects, options.signal);
    const missing = objects.filter(({ sopInstanceUid }) => !held.has(sopInstanceUid));
    if (missing.length > 0) {
      for (const [uid, id] of await this.#import(client, datastoreId, missing, options)) held.set(uid, id);
    }
    const imageSetIds = [...new Set(objects.map(({ sopInstanceUid }) => held.get(sopInstanceUid) as string))];
    return { target, imageSetIds, wasThere: missing.length === 0 };
  }

  async close(): Promise<void> {
    (await this.#client)?.destroy();
    this.#client = undefined;
  }

  /** Image set by SOPInstanceUID, of the objects that the data store has already. */
  async #held(
    client: MedicalImagingClient,
    datastoreId: string,
    objects: readonly PublishedObject[],
    signal: AbortSignal,
  ): Promise<Map<string, string>> {
    const held = new Map<string, string>();
    const wanted = new Set(objects.map(({ sopInstanceUid }) => sopInstanceUid));
    for (const series of new Set(objects.map(({ seriesInstanceUid }) => seriesInstanceUid))) {
      const filter = { DICOMSeriesInstanceUID: series };
      for (const { imageSetId } of await findImageSets(client, datastoreId, filter, { signal })) {
        for (const uid of await this.#instancesOf(datastoreId, imageSetId, signal)) {
          if (wanted.has(uid) && !held.has(uid)) held.set(uid, imageSetId);
        }
      }
    }
    return held;
  }

  async #instancesOf(datastoreId: string, imageSetId: string, signal: AbortSignal): Promise<string[]> {
    const loaded = await this.#options.source.open({ datastoreId, imageSetId }, { signal });
    if (loaded.kind !== 'dicom') return [];
    const instances = loaded.series.flatMap((series) => series.instances);
    return instances.map(({ attributes }) => attributes.string(tags.SOPInstanceUID) ?? '');
  }

  /** Runs the job; gives the image set of each object. */
  async #import(
    client: MedicalImagingClient,
    datastoreId: string,
    objects: readonly PublishedObject[],
    { signal, inferenceId }: PublishOptions,
  ): Promise<Map<string, string>> {
    const { uri, roleArn } = this.#options.import as { uri: string; roleArn: string };
    const area = await openImportArea(uri, this.#options.objects);
    try {
      const uidOf = new Map<string, string>();
      for (const [index, { sopInstanceUid, bytes }] of objects.entries()) {
        const name = `${index + 1}.dcm`;
        await area.put(name, bytes, signal);
        uidOf.set(name, sopInstanceUid);
      }
      const job = {
        datastoreId,
        jobName: 'map-endpoint-publish',
        roleArn,
        inputUri: area.inputUri,
        outputUri: area.outputUri,
        // Of this area: a retry reads from another one, and must not get the answer of a job whose files are gone.
        clientToken: createHash('sha256').update(`${inferenceId} ${area.inputUri}`).digest('hex').slice(0, 64),
      };
      const jobId = await runImportJob(client, job, { signal, maxPollMs: 1_000 }).catch((error: unknown) => {
        throw withoutReason(error);
      });
      const folder = importOutputFolder(datastoreId, jobId);
      const report = await readImportOutput((name) => area.read(`${folder}/${name}`, signal), { datastoreId, jobId });
      return imageSetsOf(report, uidOf);
    } finally {
      await area.remove().catch((thrown: unknown) => {
        // The prefix is ours alone, so nobody takes what stays for a result; but it is a patient's.
        this.#options.logger.warn({ error: loggableError(thrown) }, 'the files of an import could not be removed');
      });
    }
  }
}

/** The service's own words on a job that failed may quote the URIs of the import area. */
function withoutReason(error: unknown): unknown {
  const jobId = error instanceof EndpointError ? error.details?.jobId : undefined;
  if (jobId === undefined) return error;
  const message = 'The import job of the results failed in HealthImaging; its own record there says why.';
  return new EndpointError('upstream_failed', message, { details: { jobId }, cause: error });
}

/** @throws EndpointError `upstream_failed` when an object was refused */
function imageSetsOf(report: ImportReport, uidOf: ReadonlyMap<string, string>): Map<string, string> {
  const baseName = (file: string): string => file.slice(file.lastIndexOf('/') + 1);
  const [refused] = report.failures;
  if (refused) {
    const message = `HealthImaging refused ${report.failures.length} of ${uidOf.size} results (${refused.error}).`;
    throw new EndpointError('upstream_failed', message, { details: { jobId: report.jobId } });
  }
  const found = new Map<string, string>();
  for (const { file, imageSetId } of report.files) {
    const uid = uidOf.get(baseName(file));
    if (uid !== undefined) found.set(uid, imageSetId);
  }
  if (found.size !== uidOf.size) {
    throw new EndpointError('upstream_failed', 'The import job of the results does not tell of each of them.');
  }
  return found;
}

function healthImaging(target: PublishTarget): Extract<PublishTarget, { kind: 'healthimaging' }> {
  if (target.kind === 'healthimaging') return target;
  throw new EndpointError('internal', 'This publisher writes to HealthImaging only.');
}
