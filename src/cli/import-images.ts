import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import {
  CreateDatastoreCommand,
  GetDatastoreCommand,
  GetDICOMImportJobCommand,
  ListDatastoresCommand,
  type MedicalImagingClient,
  StartDICOMImportJobCommand,
} from '@aws-sdk/client-medical-imaging';
import { z } from 'zod';
import { EndpointError } from '../errors.ts';
import { importReportsDir } from '../local-store/import-reports.ts';
import { imagingClient, isLocalEndpoint } from './endpoint-clients.ts';
import { ReportedFailure, UsageError } from './exit-codes.ts';
import { folderUri } from './server-uri.ts';
import { createTerminal, formatTable } from './terminal.ts';

/** What `map-endpoint import` was told. */
export interface ImportFlags {
  readonly endpointUrl: string;
  readonly datastore?: string;
  readonly json: boolean;
}

/** Name of the data store that an import makes where there is none. */
const datastoreName = 'map-endpoint';
/** The real service assumes this role; the local store only wants it well formed. */
const localRoleArn = 'arn:aws:iam::000000000000:role/map-endpoint-local';

/** Part of the import job's manifest that is read (field-facts §1.6). */
const manifestSchema = z.object({
  jobSummary: z.object({
    numberOfScannedFiles: z.number(),
    numberOfImportedFiles: z.number(),
    numberOfFilesWithCustomerError: z.number(),
    numberOfFilesWithServerError: z.number(),
    imageSetsSummary: z.array(
      z.object({ imageSetId: z.string(), isPrimary: z.boolean(), numberOfMatchedSOPInstances: z.number() }),
    ),
  }),
});

const failureSchema = z.object({
  inputFile: z.string(),
  exception: z.object({ exceptionType: z.string(), message: z.string() }),
});

/** What an import made, and what it refused. */
export interface ImportReport {
  readonly datastoreId: string;
  readonly jobId: string;
  readonly imageSets: readonly { imageSetId: string; isPrimary: boolean; instances: number }[];
  readonly scannedFiles: number;
  readonly importedFiles: number;
  readonly failures: readonly { file: string; error: string; message: string }[];
}

/**
 * Imports a folder by a `StartDICOMImportJob` of the store and waits for its end. COMPLETED does not mean that every
 * file was taken: the report names those that were not.
 *
 * @throws EndpointError `upstream_failed` when the job failed
 */
export async function importImages(
  source: string,
  options: { endpointUrl: string; datastoreId?: string | undefined; onStatus?(status: string): void },
): Promise<ImportReport> {
  if (!isLocalEndpoint(options.endpointUrl)) {
    throw new UsageError(
      'import speaks to the store of a "map-endpoint local" on this machine; give its --endpoint-url.',
    );
  }
  const client = imagingClient(options);
  const jobDir = await mkdtemp(join(await importReportsDir(), 'job-'));
  try {
    const datastoreId = options.datastoreId ?? (await findDatastore(client));
    const { jobId = '' } = await client.send(
      new StartDICOMImportJobCommand({
        datastoreId,
        jobName: 'map-endpoint-import',
        dataAccessRoleArn: localRoleArn,
        clientToken: crypto.randomUUID(),
        inputS3Uri: folderUri(source, options.endpointUrl),
        outputS3Uri: `${pathToFileURL(resolve(jobDir)).href}/`,
      }),
    );
    await waitForJob(client, datastoreId, jobId, options.onStatus);
    return await readReport(join(jobDir, `${datastoreId}-DicomImport-${jobId}`), datastoreId, jobId);
  } finally {
    client.destroy();
    await rm(jobDir, { recursive: true, force: true });
  }
}

/** `map-endpoint import`. */
export async function runImport(source: string, flags: ImportFlags): Promise<void> {
  const terminal = createTerminal(flags.json);
  const report = await importImages(source, {
    endpointUrl: flags.endpointUrl,
    datastoreId: flags.datastore,
    onStatus: (status) => terminal.progress(`import job: ${status.toLowerCase().replace('_', ' ')}`),
  });
  terminal.json(report);
  terminal.line(`data store ${report.datastoreId}: ${report.importedFiles} of ${report.scannedFiles} files imported`);
  const rows = report.imageSets.map((set) => [set.imageSetId, set.instances, set.isPrimary ? 'yes' : 'no'] as const);
  for (const row of formatTable([['image set', 'instances', 'primary'], ...rows])) terminal.line(row);
  for (const failure of report.failures)
    process.stderr.write(`${failure.file}: ${failure.error}: ${failure.message}\n`);
  if (report.failures.length > 0) {
    throw new ReportedFailure(`${report.failures.length} of ${report.scannedFiles} files were not imported.`);
  }
  if (report.imageSets.length === 0) {
    throw new ReportedFailure('The folder holds no DICOM file.');
  }
}

async function findDatastore(client: MedicalImagingClient): Promise<string> {
  const { datastoreSummaries = [] } = await client.send(
    new ListDatastoresCommand({ datastoreStatus: 'ACTIVE', maxResults: 50 }),
  );
  const named = datastoreSummaries.filter((store) => store.datastoreName === datastoreName);
  const candidates = datastoreSummaries.length === 1 ? datastoreSummaries : named;
  if (candidates.length > 1 || (candidates.length === 0 && datastoreSummaries.length > 1)) {
    const ids = datastoreSummaries.map((store) => store.datastoreId).join(', ');
    throw new UsageError(`There are several data stores; name one with --datastore: ${ids}.`);
  }
  if (candidates[0]?.datastoreId) return candidates[0].datastoreId;
  const made = await client.send(new CreateDatastoreCommand({ datastoreName, clientToken: crypto.randomUUID() }));
  const datastoreId = made.datastoreId ?? '';
  for (;;) {
    const { datastoreProperties } = await client.send(new GetDatastoreCommand({ datastoreId }));
    if (datastoreProperties?.datastoreStatus === 'ACTIVE') return datastoreId;
    if (datastoreProperties?.datastoreStatus !== 'CREATING') {
      throw new EndpointError('upstream_failed', 'The store could not create a data store.');
    }
    await sleep(50);
  }
}

async function waitForJob(
  client: MedicalImagingClient,
  datastoreId: string,
  jobId: string,
  onStatus: ((status: string) => void) | undefined,
): Promise<void> {
  for (let waitMs = 25; ; waitMs = Math.min(500, waitMs * 1.5)) {
    const { jobProperties } = await client.send(new GetDICOMImportJobCommand({ datastoreId, jobId }));
    const status = jobProperties?.jobStatus ?? 'FAILED';
    onStatus?.(status);
    if (status === 'COMPLETED') return;
    if (status === 'FAILED') {
      throw new EndpointError(
        'upstream_failed',
        `The import job failed: ${jobProperties?.message ?? 'no reason given'}`,
      );
    }
    await sleep(waitMs);
  }
}

async function readReport(dir: string, datastoreId: string, jobId: string): Promise<ImportReport> {
  const manifest = manifestSchema.parse(JSON.parse(await readFile(join(dir, 'job-output-manifest.json'), 'utf8')));
  const { jobSummary } = manifest;
  const failed = jobSummary.numberOfFilesWithCustomerError + jobSummary.numberOfFilesWithServerError;
  const lines = failed === 0 ? [] : (await readFile(join(dir, 'FAILURE', 'failure.ndjson'), 'utf8')).trim().split('\n');
  return {
    datastoreId,
    jobId,
    imageSets: jobSummary.imageSetsSummary.map((set) => ({
      imageSetId: set.imageSetId,
      isPrimary: set.isPrimary,
      instances: set.numberOfMatchedSOPInstances,
    })),
    scannedFiles: jobSummary.numberOfScannedFiles,
    importedFiles: jobSummary.numberOfImportedFiles,
    failures: lines.map((line) => {
      const { inputFile, exception } = failureSchema.parse(JSON.parse(line));
      return { file: inputFile, error: exception.exceptionType, message: exception.message };
    }),
  };
}
