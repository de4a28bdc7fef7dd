import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncFolder, writeFlushed } from '../../durable-files.ts';
import type { Location } from '../allowed-locations.ts';
import type { ImportJobRecord } from '../records.ts';
import { JobFailure } from './input-files.ts';
import type { ImportObjectStore } from './object-port.ts';
import type { ImportWarning } from './outcome.ts';

/** What a job did with one file: a line of `success.ndjson` or `failure.ndjson`, and perhaps of `warning.ndjson`. */
export type FileResult =
  | {
      readonly kind: 'imported';
      readonly inputFile: string;
      readonly imageSetId: string;
      readonly isPrimary: boolean;
      readonly imageSetVersion: number;
      readonly warnings: readonly ImportWarning[];
    }
  | {
      readonly kind: 'failed';
      readonly inputFile: string;
      /** Who is at fault: the file, or this server. */
      readonly fault: 'customer' | 'server';
      readonly exceptionType: string;
      readonly message: string;
    };

export interface ImageSetSummary {
  readonly imageSetId: string;
  readonly imageSetVersion: number;
  readonly isPrimary: boolean;
  readonly numberOfMatchedSOPInstances: number;
}

/** Folder of a job's output, with its trailing slash. */
export function outputFolderUri(job: ImportJobRecord): string {
  const base = job.outputS3Uri.endsWith('/') ? job.outputS3Uri : `${job.outputS3Uri}/`;
  return `${base}${job.datastoreId}-DicomImport-${job.jobId}/`;
}

function outputFiles(
  job: ImportJobRecord,
  results: readonly FileResult[],
  imageSets: readonly ImageSetSummary[],
): Map<string, string> {
  const outputS3Uri = outputFolderUri(job);
  const failures = results.filter((result) => result.kind === 'failed');
  const manifest = {
    jobSummary: {
      jobId: job.jobId,
      datastoreId: job.datastoreId,
      inputS3Uri: job.inputS3Uri,
      outputS3Uri,
      successOutputS3Uri: `${outputS3Uri}SUCCESS/`,
      failureOutputS3Uri: `${outputS3Uri}FAILURE/`,
      warningsOutputS3Uri: `${outputS3Uri}WARNING/`,
      numberOfScannedFiles: results.length,
      numberOfImportedFiles: results.length - failures.length,
      numberOfFilesWithCustomerError: failures.filter(({ fault }) => fault === 'customer').length,
      numberOfFilesWithServerError: failures.filter(({ fault }) => fault === 'server').length,
      numberOfGeneratedImageSets: imageSets.length,
      imageSetsSummary: imageSets,
    },
  };
  return new Map([
    ['SUCCESS/success.ndjson', ndjson(results.flatMap(successLine))],
    ['WARNING/warning.ndjson', ndjson(results.flatMap(warningLine))],
    ['FAILURE/failure.ndjson', ndjson(failures.map(failureLine))],
    // Last: who sees the manifest sees the rest.
    ['job-output-manifest.json', `${JSON.stringify(manifest, null, 2)}\n`],
  ]);
}

function successLine(result: FileResult): unknown[] {
  if (result.kind !== 'imported') return [];
  const { inputFile, imageSetId, isPrimary, imageSetVersion } = result;
  return [{ inputFile, importResponse: { imageSetId, isPrimary, imageSetVersion } }];
}

function warningLine(result: FileResult): unknown[] {
  if (result.kind !== 'imported' || result.warnings.length === 0) return [];
  const { inputFile, imageSetId, isPrimary, imageSetVersion } = result;
  const warnings = result.warnings.map(({ code, type, message }) => ({ warning_reason_code: code, type, message }));
  return [{ inputFile, importResponse: { imageSetId, isPrimary, imageSetVersion }, warnings }];
}

const failureLine = ({ inputFile, exceptionType, message }: FileResult & { kind: 'failed' }): unknown => ({
  inputFile,
  exception: { exceptionType, message },
});

const ndjson = (lines: readonly unknown[]): string => lines.map((line) => `${JSON.stringify(line)}\n`).join('');

/** Writes a job's output: the folder appears whole, and a repeated run replaces it. */
export async function writeJobOutput(
  location: Location,
  job: ImportJobRecord,
  results: readonly FileResult[],
  imageSets: readonly ImageSetSummary[],
  objects: ImportObjectStore | undefined,
  signal: AbortSignal,
): Promise<void> {
  const files = outputFiles(job, results, imageSets);
  const name = `${job.datastoreId}-DicomImport-${job.jobId}`;
  if (location.kind === 'folder') {
    await writeFolder(location.path, name, files);
    return;
  }
  if (!objects) throw new JobFailure('This server has no object store for s3 URIs.');
  const prefix = location.prefix === '' || location.prefix.endsWith('/') ? location.prefix : `${location.prefix}/`;
  for (const [file, content] of files) {
    const type = file.endsWith('.json') ? 'application/json' : 'application/x-ndjson';
    await objects.upload(location.bucket, `${prefix}${name}/${file}`, Buffer.from(content), type, signal);
  }
}

async function writeFolder(parent: string, name: string, files: Map<string, string>): Promise<void> {
  await mkdir(parent, { recursive: true });
  const staged = join(parent, `.${name}.tmp`);
  await rm(staged, { recursive: true, force: true });
  for (const [file, content] of files) {
    await mkdir(dirname(join(staged, file)), { recursive: true });
    await writeFlushed(join(staged, file), content);
  }
  await rm(join(parent, name), { recursive: true, force: true });
  await rename(staged, join(parent, name));
  await syncFolder(parent);
}
