import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Logger, loggableError } from '../../logger.ts';
import type { AllowedLocations } from '../allowed-locations.ts';
import { type ImportJobRecord, nowSeconds } from '../records.ts';
import { ServiceError } from '../service-error.ts';
import type { WriteLocks } from '../write-locks.ts';
import { type CommitContext, commitImageSets } from './commit-image-sets.ts';
import type { NumberedInstance } from './group-instances.ts';
import { diskFull, type ImportQuotas, type InputFile, JobFailure, listInput } from './input-files.ts';
import { type FileResult, type ImageSetSummary, writeJobOutput } from './job-output.ts';
import type { ImportObjectStore } from './object-port.ts';
import type { FileOutcome } from './outcome.ts';
import { stageFile } from './stage-file.ts';

export interface ImportContext extends CommitContext {
  readonly locks: WriteLocks;
  readonly allowed: AllowedLocations;
  readonly objects: ImportObjectStore | undefined;
  readonly quotas: ImportQuotas;
  readonly logger: Logger;
}

/**
 * A job during which this many processes ended is given up, so that one that takes its process down each time cannot
 * keep the store from running for ever. Stops that were asked for do not count; a damaged file costs a thread only.
 */
const maxAttempts = 25;

/**
 * Runs one import job to its end: COMPLETED, also when single files failed (its output lists them), or FAILED with a
 * message. Image sets become visible whole, after all files were read. A job that a killed process left is run again;
 * image sets that it had committed are found and not made twice.
 */
export async function runImportJob(submitted: ImportJobRecord, context: ImportContext): Promise<void> {
  const { catalog, logger, signal } = context;
  let job: ImportJobRecord = { ...submitted, jobStatus: 'IN_PROGRESS', attempts: submitted.attempts + 1 };
  const staging = join(catalog.layout.tmp, `import-${randomUUID()}`);
  try {
    if (job.attempts > maxAttempts) throw new JobFailure('The server ended each time it worked on this job.');
    await catalog.saveJob(job);
    await mkdir(staging, { recursive: true });
    await importAll(job, submitted.jobStatus !== 'SUBMITTED', staging, context);
    job = { ...job, jobStatus: 'COMPLETED', endedAt: nowSeconds() };
  } catch (error) {
    // Closing the store is no failure of the job: the next start takes it up, and this run does not count.
    if (signal.aborted) {
      await catalog.saveJob({ ...submitted, jobStatus: 'IN_PROGRESS' });
      return;
    }
    logger.warn({ datastoreId: job.datastoreId, jobId: job.jobId, error: loggableError(error) }, 'import job failed');
    job = { ...job, jobStatus: 'FAILED', endedAt: nowSeconds(), message: failureMessage(error) };
  } finally {
    await rm(staging, { recursive: true, force: true }).catch(() => undefined);
  }
  await catalog.saveJob(job);
  logger.info({ datastoreId: job.datastoreId, jobId: job.jobId, jobStatus: job.jobStatus }, 'import job ended');
}

function failureMessage(error: unknown): string {
  if (error instanceof JobFailure || error instanceof ServiceError) return error.message;
  if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') return diskFull;
  return 'An internal error stopped the job. The log of the server has its trace.';
}

async function importAll(
  job: ImportJobRecord,
  isRepeated: boolean,
  staging: string,
  context: ImportContext,
): Promise<void> {
  const input = await context.allowed.resolve(job.inputS3Uri, 'inputS3Uri');
  const output = await context.allowed.resolve(job.outputS3Uri, 'outputS3Uri');
  const files = await listInput(input, context.quotas, context.objects, context.signal);
  const bucket = input.kind === 'objects' ? input.bucket : '';
  const results: FileResult[] = new Array(files.length);
  const staged: NumberedInstance[] = [];
  await inParallel(files, context.pool.threads * 3, async (file, number) => {
    const outcome = await importFile(file, { number, bucket, staging, job }, context);
    if (outcome.kind === 'staged') staged.push({ number, instance: outcome.instance });
    else results[number] = { ...outcome, inputFile: file.name };
  });
  staged.sort((a, b) => a.number - b.number);

  const release = await context.locks.acquire(job.datastoreId);
  let imageSets: ImageSetSummary[];
  try {
    imageSets = await commitAll(job, isRepeated, staged, files, results, staging, context);
  } finally {
    release();
  }
  await writeJobOutput(output, job, results, imageSets, context.objects, context.signal);
}

type FailedFile = Omit<Extract<FileResult, { kind: 'failed' }>, 'inputFile'>;

async function importFile(
  file: InputFile,
  where: { number: number; bucket: string; staging: string; job: ImportJobRecord },
  context: ImportContext,
): Promise<FailedFile | Extract<FileOutcome, { kind: 'staged' }>> {
  const failed = (fault: 'customer' | 'server', exceptionType: string, message: string): FailedFile => ({
    kind: 'failed',
    fault,
    exceptionType,
    message,
  });
  if (file.refused !== undefined) return failed('customer', 'AccessDeniedException', file.refused);
  if (file.sizeBytes > context.quotas.bytesPerFile) {
    return failed('customer', 'ValidationException', `The file is larger than ${context.quotas.bytesPerFile} bytes.`);
  }
  const target = join(where.staging, String(where.number));
  try {
    if (file.path === undefined) {
      await context.objects?.download(where.bucket, file.name, `${target}.dcm`, context.signal);
    }
    const { bytesPerFile } = context.quotas;
    const outcome = await stageFile(context.pool, { sourcePath: file.path, target, bytesPerFile }, context.signal);
    if (outcome.kind === 'disk-full') throw new JobFailure(diskFull);
    return outcome.kind === 'failed' ? failed('customer', outcome.exceptionType, outcome.message) : outcome;
  } catch (error) {
    if (error instanceof JobFailure || context.signal.aborted) throw error;
    if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') throw error;
    context.logger.warn({ jobId: where.job.jobId, error: loggableError(error) }, 'a file could not be imported');
    return failed('server', 'InternalServerException', 'The server could not process the file.');
  }
}

/** Commits the job's image sets one by one, under the data store's write lock. */
async function commitAll(
  job: ImportJobRecord,
  isRepeated: boolean,
  staged: readonly NumberedInstance[],
  files: readonly InputFile[],
  results: FileResult[],
  staging: string,
  context: ImportContext,
): Promise<ImageSetSummary[]> {
  const summaries: ImageSetSummary[] = [];
  const source = { datastoreId: job.datastoreId, importId: job.jobId, isRepeated, staging };
  for await (const { plan, version } of commitImageSets(source, staged, context)) {
    summaries.push({
      imageSetId: version.imageSetId,
      imageSetVersion: version.version,
      isPrimary: version.isPrimary,
      numberOfMatchedSOPInstances: version.importedInstances ?? 0,
    });
    for (const { number, instance } of plan.instances) {
      results[number] = {
        kind: 'imported',
        inputFile: (files[number] as InputFile).name,
        imageSetId: version.imageSetId,
        isPrimary: version.isPrimary,
        imageSetVersion: version.version,
        warnings: instance.warnings ?? [],
      };
    }
  }
  return summaries;
}

/** Runs `work` on every item, `width` at a time. The first failure ends it, when what runs has come to its end. */
async function inParallel<T>(items: readonly T[], width: number, work: (item: T, index: number) => Promise<void>) {
  let next = 0;
  let failure: { error: unknown } | undefined;
  const lane = async (): Promise<void> => {
    while (next < items.length && !failure) {
      const index = next++;
      try {
        await work(items[index] as T, index);
      } catch (error) {
        failure ??= { error };
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  if (failure) throw failure.error;
}
