import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import {
  CreateDatastoreCommand,
  GetDatastoreCommand,
  ListDatastoresCommand,
  type MedicalImagingClient,
} from '@aws-sdk/client-medical-imaging';
import { runImportJob } from '../connectors/healthimaging/import-job.ts';
import { type ImportReport, importOutputFolder, readImportOutput } from '../connectors/healthimaging/import-output.ts';
import { parseUri } from '../connectors/parsed-uri.ts';
import { S3Objects } from '../connectors/s3/s3-objects.ts';
import { EndpointError } from '../errors.ts';
import { importReportsDir } from '../local-store/import-reports.ts';
import { type ImagingFlags, imagingClient, isRemote } from './endpoint-clients.ts';
import { ReportedFailure, UsageError } from './exit-codes.ts';
import { folderUri, isUri } from './server-uri.ts';
import { createTerminal, formatTable } from './terminal.ts';

/** What `map-endpoint import` was told. */
export interface ImportFlags extends ImagingFlags {
  readonly datastore?: string;
  readonly roleArn?: string;
  readonly output?: string;
  readonly s3EndpointUrl?: string;
  readonly json: boolean;
}

/** Name of the data store that an import makes where there is none. */
const datastoreName = 'map-endpoint';
/** The real service assumes this role; the local store only wants it well formed. */
const localRoleArn = 'arn:aws:iam::000000000000:role/map-endpoint-local';
/** What the lists of a job may grow to: it takes 5,000 files. */
const maxReportBytes = 64 * 1024 ** 2;

export interface ImportOptions extends ImagingFlags {
  readonly datastoreId?: string | undefined;
  /** Role that the service reads and writes S3 with. */
  readonly roleArn?: string | undefined;
  /** Where the job reports to; default: a folder of its own, for a store on this machine. */
  readonly output?: string | undefined;
  readonly s3EndpointUrl?: string | undefined;
  onStatus?(status: string, jobId: string): void;
}

/**
 * Imports a folder or an `s3://` prefix by an import job of the service or store and waits for its end. COMPLETED does
 * not mean that every file was taken: the report names those that were not.
 *
 * @throws EndpointError `upstream_failed` when the job failed; UsageError for what the service cannot reach
 */
export async function importImages(source: string, options: ImportOptions): Promise<ImportReport> {
  const remote = isRemote(options);
  if (remote) checkRemote(source, options);
  const client = imagingClient(options);
  const objects = new S3Objects({ region: options.region, endpoint: options.s3EndpointUrl, maxSockets: 8 });
  const jobDir = options.output === undefined ? await mkdtemp(join(await importReportsDir(), 'job-')) : undefined;
  const { signal } = new AbortController();
  try {
    const datastoreId = options.datastoreId ?? (await findDatastore(client));
    const outputUri = directoryUri(options.output ?? (jobDir as string));
    const jobId = await runImportJob(
      client,
      {
        datastoreId,
        jobName: 'map-endpoint-import',
        roleArn: options.roleArn ?? localRoleArn,
        clientToken: crypto.randomUUID(),
        inputUri: remote ? source : folderUri(source, options.endpointUrl),
        outputUri,
      },
      { signal, maxPollMs: remote ? 5_000 : 500, ...(options.onStatus ? { onStatus: options.onStatus } : {}) },
    );
    const folder = `${outputUri}${importOutputFolder(datastoreId, jobId)}/`;
    return await readImportOutput((name) => readOutput(`${folder}${name}`, objects, signal), { datastoreId, jobId });
  } catch (error) {
    throw remote ? error : inOwnWords(error);
  } finally {
    client.destroy();
    await objects.close();
    if (jobDir !== undefined) await rm(jobDir, { recursive: true, force: true });
  }
}

/** A store on this machine says itself what to do about a refusal (`--allow`); AWS's roles are no help there. */
function inOwnWords(error: unknown): unknown {
  const isRefusal = error instanceof EndpointError && error.details?.status === 403 && error.cause instanceof Error;
  return isRefusal ? new EndpointError('forbidden', (error.cause as Error).message, { cause: error }) : error;
}

/** What the service itself needs, since it reaches neither our folders nor our credentials. */
function checkRemote(source: string, options: ImportOptions): void {
  if (!source.startsWith('s3://')) throw new UsageError('The service reads from S3 only: give an s3:// URI.');
  if (options.datastoreId === undefined) throw new UsageError('Name the data store with --datastore.');
  if (!options.output?.startsWith('s3://')) throw new UsageError('Give --output s3://…/ for the report of the job.');
  if (options.roleArn === undefined) {
    throw new UsageError('Give --role-arn: the role that HealthImaging reads and writes S3 with.');
  }
}

/** With its slash at the end. */
function directoryUri(place: string): string {
  const uri = isUri(place) ? place : pathToFileURL(resolve(place)).href;
  return `${uri.replace(/\/+$/, '')}/`;
}

async function readOutput(uri: string, objects: S3Objects, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const parsed = parseUri(uri);
  if (parsed.scheme === 's3') return await objects.read(parsed, maxReportBytes, signal);
  if (parsed.scheme !== 'file') throw new UsageError('--output takes a folder or an s3:// URI.');
  return await readFile(parsed.path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
}

/** `map-endpoint import`. */
export async function runImport(source: string, flags: ImportFlags): Promise<void> {
  const terminal = createTerminal(flags.json);
  const started = performance.now();
  const report = await importImages(source, {
    ...flags,
    datastoreId: flags.datastore,
    onStatus: (status, jobId) => {
      const text = `import job ${jobId}: ${status.toLowerCase().replace('_', ' ')}`;
      // A line that is rewritten may count; lines of a log should not repeat themselves.
      const seconds = Math.round((performance.now() - started) / 1000);
      terminal.progress(process.stderr.isTTY ? `${text}, ${seconds} s` : text);
    },
  });
  const { files: _, ...shown } = report;
  terminal.json(shown);
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
