import { setTimeout as sleep } from 'node:timers/promises';
import type { MedicalImagingClient } from '@aws-sdk/client-medical-imaging';
import { abortError, EndpointError, throwIfAborted } from '../../errors.ts';
import { isTransientAwsError, upstreamError } from '../aws-errors.ts';
import { type Attempt, defaultRetryPolicy, type RetryPolicy, withRetry } from '../retry.ts';
import { adviceWhenDenied } from './healthimaging-client.ts';

/** An import job to run. */
export interface ImportJob {
  readonly datastoreId: string;
  readonly jobName: string;
  /** Role that the service reads and writes S3 with. */
  readonly roleArn: string;
  readonly inputUri: string;
  readonly outputUri: string;
  /** The same token starts the same job once. */
  readonly clientToken: string;
}

export interface ImportJobOptions {
  readonly signal: AbortSignal;
  readonly retry?: RetryPolicy;
  /** Longest pause between two looks at the job. */
  readonly maxPollMs?: number;
  onStatus?(status: string, jobId: string): void;
}

/**
 * Starts an import job and waits for its end. COMPLETED does not mean that every file was taken: its output tells.
 *
 * @returns the job's id
 * @throws EndpointError `upstream_failed` when the job failed or cannot be started; the signal's reason: the job goes on then
 */
export async function runImportJob(
  client: MedicalImagingClient,
  job: ImportJob,
  options: ImportJobOptions,
): Promise<string> {
  const { GetDICOMImportJobCommand, StartDICOMImportJobCommand } = await import('@aws-sdk/client-medical-imaging');
  const { datastoreId, jobName, clientToken } = job;
  const { signal, retry = defaultRetryPolicy, maxPollMs = 500, onStatus } = options;
  const call = <T>(action: string, send: (attempt: Attempt) => Promise<T>): Promise<T> =>
    withRetry(send, { policy: retry, signal, isTransient: isTransientAwsError }).catch(async (error: unknown) => {
      const advice = await adviceWhenDenied(client);
      throw upstreamError('HealthImaging', action, `data store ${datastoreId}`, error, advice);
    });
  const start = new StartDICOMImportJobCommand({
    datastoreId,
    jobName,
    clientToken,
    dataAccessRoleArn: job.roleArn,
    inputS3Uri: job.inputUri,
    outputS3Uri: job.outputUri,
  });
  const { jobId = '' } = await call('StartDICOMImportJob', ({ signal: abortSignal }) =>
    client.send(start, { abortSignal }),
  );
  for (let waitMs = 25; ; waitMs = Math.min(maxPollMs, waitMs * 1.5)) {
    throwIfAborted(signal);
    const look = new GetDICOMImportJobCommand({ datastoreId, jobId });
    const { jobProperties } = await call('GetDICOMImportJob', ({ signal: abortSignal }) =>
      client.send(look, { abortSignal }),
    );
    const status = jobProperties?.jobStatus ?? 'FAILED';
    onStatus?.(status, jobId);
    if (status === 'COMPLETED') return jobId;
    if (status === 'FAILED') {
      const reason = jobProperties?.message ?? 'no reason given';
      throw new EndpointError('upstream_failed', `The import job failed: ${reason}`, { details: { jobId } });
    }
    await sleep(waitMs, undefined, { signal }).catch(() => {
      throw abortError(signal);
    });
  }
}
