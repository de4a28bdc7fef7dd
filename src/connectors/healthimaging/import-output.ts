import { z } from 'zod';
import { EndpointError } from '../../errors.ts';

/** What an import job made, and what it refused. */
export interface ImportReport {
  readonly datastoreId: string;
  readonly jobId: string;
  readonly imageSets: readonly ImportedImageSet[];
  readonly scannedFiles: number;
  readonly importedFiles: number;
  /** Image set of each file that was taken. */
  readonly files: readonly { readonly file: string; readonly imageSetId: string }[];
  readonly failures: readonly { readonly file: string; readonly error: string; readonly message: string }[];
}

export interface ImportedImageSet {
  readonly imageSetId: string;
  readonly isPrimary: boolean;
  readonly instances: number;
}

/** Parts of the output that are read (field-facts §1.6). */
const manifestSchema = z.object({
  jobSummary: z.object({
    numberOfScannedFiles: z.number(),
    numberOfImportedFiles: z.number(),
    numberOfFilesWithCustomerError: z.number(),
    numberOfFilesWithServerError: z.number(),
    imageSetsSummary: z
      .array(z.object({ imageSetId: z.string(), isPrimary: z.boolean(), numberOfMatchedSOPInstances: z.number() }))
      .default([]),
  }),
});
const successSchema = z.object({
  inputFile: z.string(),
  importResponse: z.object({ imageSetId: z.string(), isPrimary: z.boolean().default(true) }),
});
const failureSchema = z.object({
  inputFile: z.string(),
  exception: z.object({ exceptionType: z.string(), message: z.string() }),
});

/** Folder of a job's output under its `outputS3Uri`. */
export const importOutputFolder = (datastoreId: string, jobId: string): string => `${datastoreId}-DicomImport-${jobId}`;

/**
 * Reads the output of a finished import job: the manifest, and the lines on each file. What they say must agree: a
 * list of image sets from which one is missing would pass for the whole.
 *
 * @param read - gives a file of the job's output folder; undefined when there is none
 * @throws EndpointError `upstream_failed` for an output that is absent, not readable, or contradicts itself
 */
export async function readImportOutput(
  read: (name: string) => Promise<Uint8Array | undefined>,
  { datastoreId, jobId }: { readonly datastoreId: string; readonly jobId: string },
): Promise<ImportReport> {
  const { jobSummary: summary } = parse(manifestSchema, await read('job-output-manifest.json'), 'manifest');
  const failed = summary.numberOfFilesWithCustomerError + summary.numberOfFilesWithServerError;
  const taken = summary.numberOfImportedFiles;
  const successes = parseLines(
    successSchema,
    taken === 0 ? undefined : await read('SUCCESS/success.ndjson'),
    'success',
  );
  const failures = parseLines(
    failureSchema,
    failed === 0 ? undefined : await read('FAILURE/failure.ndjson'),
    'failure',
  );
  if (successes.length !== taken || failures.length !== failed) {
    throw unreadable(
      `its manifest counts ${taken} files taken and ${failed} refused, its lists have ${successes.length} and ${failures.length}`,
    );
  }
  return {
    datastoreId,
    jobId,
    imageSets: imageSetsOf(summary.imageSetsSummary, successes),
    scannedFiles: summary.numberOfScannedFiles,
    importedFiles: taken,
    files: successes.map((line) => ({ file: line.inputFile, imageSetId: line.importResponse.imageSetId })),
    failures: failures.map(({ inputFile, exception }) => ({
      file: inputFile,
      error: exception.exceptionType,
      message: exception.message,
    })),
  };
}

/** The manifest's list, completed by what the files tell: older jobs have no such list. */
function imageSetsOf(
  listed: z.infer<typeof manifestSchema>['jobSummary']['imageSetsSummary'],
  successes: readonly z.infer<typeof successSchema>[],
): ImportedImageSet[] {
  const sets = new Map<string, ImportedImageSet>();
  for (const { imageSetId, isPrimary, numberOfMatchedSOPInstances } of listed) {
    sets.set(imageSetId, { imageSetId, isPrimary, instances: numberOfMatchedSOPInstances });
  }
  const known = new Set(sets.keys());
  for (const { importResponse } of successes) {
    const { imageSetId, isPrimary } = importResponse;
    if (known.has(imageSetId)) continue;
    sets.set(imageSetId, { imageSetId, isPrimary, instances: (sets.get(imageSetId)?.instances ?? 0) + 1 });
  }
  return [...sets.values()];
}

function parse<T>(schema: z.ZodType<T>, bytes: Uint8Array | undefined, what: string): T {
  if (!bytes) throw unreadable(`it has no ${what}`);
  try {
    return schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch (cause) {
    throw unreadable(`its ${what} has not the form of one`, cause);
  }
}

function parseLines<T>(schema: z.ZodType<T>, bytes: Uint8Array | undefined, what: string): T[] {
  const lines = Buffer.from(bytes ?? [])
    .toString('utf8')
    .split('\n')
    .filter((line) => line.trim() !== '');
  return lines.map((line) => parse(schema, Buffer.from(line), `list of ${what}`));
}

function unreadable(reason: string, cause?: unknown): EndpointError {
  return new EndpointError(
    'upstream_failed',
    `The output of the import job cannot be used: ${reason}.`,
    cause === undefined ? {} : { cause },
  );
}
