import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { type Logger, loggableError } from '../logger.ts';
import type { Catalog } from './catalog.ts';
import type { ChangeQuotas } from './changes/image-set-changes.ts';
import { newId } from './identifiers.ts';
import { type ImportContext, runImportJob } from './import/import-runner.ts';
import type { ImportQuotas } from './import/input-files.ts';
import { type DatastoreRecord, type ImageSetVersion, type ImportJobRecord, nowSeconds } from './records.ts';
import { conflict, ServiceError, validation } from './service-error.ts';
import type { createDatastoreShape, startImportShape } from './wire.ts';

/** How many of what the store takes. */
export interface StoreQuotas extends ImportQuotas, ChangeQuotas {
  readonly datastores: number;
  /** Jobs that were submitted and have not ended. */
  readonly openJobs: number;
  /** Bytes of a STOW-RS request. */
  readonly bytesPerStore: number;
}

/** What the store does, beneath HTTP: every change is durable when its promise resolves. */
export class StoreService {
  readonly #context: ImportContext;
  readonly #quotas: StoreQuotas;
  readonly #running = new Set<Promise<void>>();
  readonly #waiting: ImportJobRecord[] = [];
  #active = 0;

  constructor(context: ImportContext, quotas: StoreQuotas) {
    this.#context = context;
    this.#quotas = quotas;
  }

  get #catalog(): Catalog {
    return this.#context.catalog;
  }

  get #logger(): Logger {
    return this.#context.logger;
  }

  /** Takes up the jobs that an earlier process left unfinished, oldest first. */
  resumeJobs(): void {
    const open = this.#catalog
      .datastores()
      .flatMap(({ jobs }) => [...jobs.values()])
      .filter(isOpen)
      .sort((a, b) => a.submittedAt - b.submittedAt);
    for (const job of open) this.#enqueue(job);
  }

  async createDatastore(request: z.infer<typeof createDatastoreShape>): Promise<DatastoreRecord> {
    if (request.losslessStorageFormat === 'JPEG_2000_LOSSLESS') {
      throw validation('This store keeps frames as HTJ2K only: leave losslessStorageFormat out, or say HTJ2K.');
    }
    const requestDigest = digestOf({ ...request, clientToken: undefined });
    const clientToken = request.clientToken ?? newId();
    const release = await this.#context.locks.acquire('datastores');
    try {
      const alive = this.#catalog.datastores().filter(({ record }) => record.datastoreStatus === 'ACTIVE');
      const before = alive.find(({ record }) => record.clientToken === clientToken)?.record;
      if (before) return sameRequest(before, requestDigest);
      if (alive.length >= this.#quotas.datastores) {
        throw new ServiceError(
          'ServiceQuotaExceededException',
          `There are ${alive.length} data stores, the most allowed.`,
        );
      }
      const now = nowSeconds();
      const datastoreId = newId();
      const record: DatastoreRecord = {
        datastoreId,
        datastoreName: request.datastoreName ?? datastoreId,
        datastoreStatus: 'ACTIVE',
        losslessStorageFormat: 'HTJ2K',
        ...(request.kmsKeyArn === undefined ? {} : { kmsKeyArn: request.kmsKeyArn }),
        ...(request.lambdaAuthorizerArn === undefined ? {} : { lambdaAuthorizerArn: request.lambdaAuthorizerArn }),
        createdAt: now,
        updatedAt: now,
        tags: request.tags ?? {},
        imageSetTags: {},
        clientToken,
        requestDigest,
      };
      await this.#catalog.createDatastore(record);
      return record;
    } finally {
      release();
    }
  }

  /** @throws ServiceError `ConflictException` while it holds image sets or jobs that have not ended */
  async deleteDatastore(datastoreId: string): Promise<DatastoreRecord> {
    const release = await this.#context.locks.acquire(datastoreId);
    try {
      const { record, imageSets, jobs } = this.#catalog.datastore(datastoreId);
      if (imageSets.size > 0) throw conflict(`Data store ${datastoreId} holds image sets; delete them first.`);
      if ([...jobs.values()].some(isOpen)) throw conflict(`Data store ${datastoreId} has import jobs that still run.`);
      const deleted: DatastoreRecord = { ...record, datastoreStatus: 'DELETED', updatedAt: nowSeconds() };
      await this.#catalog.updateDatastore(deleted);
      return deleted;
    } finally {
      release();
    }
  }

  /**
   * Accepts an import job; it runs on its own.
   *
   * @throws ServiceError `AccessDeniedException` when a URI is outside the allow-list
   */
  async startImport(datastoreId: string, request: z.infer<typeof startImportShape>): Promise<ImportJobRecord> {
    const { jobs } = this.#catalog.datastore(datastoreId);
    if (request.importConfiguration !== undefined && request.importConfiguration !== null) {
      throw validation('importConfiguration is not offered by this store.');
    }
    await this.#context.allowed.resolve(request.inputS3Uri, 'inputS3Uri');
    await this.#context.allowed.resolve(request.outputS3Uri, 'outputS3Uri');
    const requestDigest = digestOf({ ...request, clientToken: undefined });
    const clientToken = request.clientToken ?? newId();
    const release = await this.#context.locks.acquire(datastoreId);
    try {
      this.#catalog.datastore(datastoreId);
      const before = [...jobs.values()].find((job) => job.clientToken === clientToken);
      if (before) return sameRequest(before, requestDigest);
      if ([...jobs.values()].filter(isOpen).length >= this.#quotas.openJobs) {
        throw new ServiceError('ServiceQuotaExceededException', 'Too many import jobs are open; wait for some to end.');
      }
      const jobId = newId();
      const job: ImportJobRecord = {
        jobId,
        jobName: request.jobName ?? jobId,
        jobStatus: 'SUBMITTED',
        datastoreId,
        dataAccessRoleArn: request.dataAccessRoleArn,
        inputS3Uri: request.inputS3Uri,
        outputS3Uri: request.outputS3Uri,
        submittedAt: nowSeconds(),
        clientToken,
        requestDigest,
        attempts: 0,
      };
      await this.#catalog.saveJob(job);
      this.#enqueue(job);
      return job;
    } finally {
      release();
    }
  }

  async deleteImageSet(datastoreId: string, imageSetId: string): Promise<ImageSetVersion> {
    this.#context.states.refuseLocked(imageSetId);
    const release = await this.#context.locks.acquire(datastoreId);
    try {
      const imageSet = this.#catalog.imageSet(datastoreId, imageSetId);
      await this.#catalog.removeImageSet(datastoreId, imageSetId);
      const { record } = this.#catalog.datastore(datastoreId);
      if (imageSetId in record.imageSetTags) {
        const { [imageSetId]: _removed, ...imageSetTags } = record.imageSetTags;
        await this.#catalog.updateDatastore({ ...record, imageSetTags });
      }
      return imageSet;
    } finally {
      release();
    }
  }

  /** Changes the tags of a data store or an image set. */
  async changeTags(
    datastoreId: string,
    imageSetId: string | undefined,
    change: (tags: Readonly<Record<string, string>>) => Record<string, string>,
  ): Promise<void> {
    const release = await this.#context.locks.acquire(datastoreId);
    try {
      const { record } = this.#catalog.datastore(datastoreId);
      const changed = change(this.tags(datastoreId, imageSetId));
      if (Object.keys(changed).length > 50) throw validation('A resource takes at most 50 tags.');
      await this.#catalog.updateDatastore(
        imageSetId === undefined
          ? { ...record, tags: changed }
          : { ...record, imageSetTags: { ...record.imageSetTags, [imageSetId]: changed } },
      );
    } finally {
      release();
    }
  }

  tags(datastoreId: string, imageSetId: string | undefined): Readonly<Record<string, string>> {
    const { record } = this.#catalog.datastore(datastoreId);
    if (imageSetId === undefined) return record.tags;
    this.#catalog.imageSet(datastoreId, imageSetId);
    return record.imageSetTags[imageSetId] ?? {};
  }

  /** Resolves when no job runs any more; the caller has aborted the context's signal. */
  async settle(): Promise<void> {
    this.#waiting.length = 0;
    await Promise.all(this.#running);
  }

  /** Jobs share the pool; two at a time keep it busy while one of them lists or commits. */
  #enqueue(job: ImportJobRecord): void {
    this.#waiting.push(job);
    this.#next();
  }

  #next(): void {
    while (this.#active < 2 && !this.#context.signal.aborted) {
      const job = this.#waiting.shift();
      if (!job) return;
      this.#active += 1;
      const run = runImportJob(job, this.#context)
        .catch((error: unknown) => this.#unrecorded(job, error))
        .finally(() => {
          this.#active -= 1;
          this.#running.delete(run);
          this.#next();
        });
      this.#running.add(run);
    }
  }

  /** Not even the failure could be written (a full disk): it is told from memory, and the job runs again at the next start. */
  #unrecorded(job: ImportJobRecord, error: unknown): void {
    this.#logger.error({ jobId: job.jobId, error: loggableError(error) }, 'the end of an import job was not recorded');
    this.#catalog.datastore(job.datastoreId).jobs.set(job.jobId, {
      ...job,
      jobStatus: 'FAILED',
      endedAt: nowSeconds(),
      message: 'The server could not write the state of the job. Its disk may be full.',
    });
  }
}

const isOpen = (job: ImportJobRecord): boolean => job.jobStatus === 'SUBMITTED' || job.jobStatus === 'IN_PROGRESS';

const digestOf = (request: unknown): string =>
  createHash('sha256').update(JSON.stringify(request)).digest('hex').slice(0, 32);

/** What a repeated call with the same token gets: the same resource, or a refusal when it asks for something else. */
function sameRequest<T extends { readonly requestDigest: string }>(before: T, digest: string): T {
  if (before.requestDigest === digest) return before;
  throw conflict('clientToken was used before with other parameters.');
}
