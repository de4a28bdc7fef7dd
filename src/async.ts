/** Wires the queue of asynchronous invocations: its folder, the work of a job, who is told when one is finished. */
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { AsyncJob } from './async-jobs/async-job.ts';
import { type AsyncAnswer, AsyncJobs, type AsyncWork } from './async-jobs/async-jobs.ts';
import { JobFolder } from './async-jobs/job-folder.ts';
import type { Notifier } from './async-jobs/notification.ts';
import { FileNotifier, WebhookNotifier } from './async-jobs/notifiers.ts';
import type { EndpointConfig } from './config.ts';
import { AllowedUris } from './connectors/allowed-uris.ts';
import { EndpointError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { PipelineHost } from './pipeline-host/pipeline-host.ts';
import type { Invoker } from './server/invocation.ts';
import type { ReceivedBody } from './server/request-body.ts';
import type { AsyncInvocations } from './server/runtime-api/invoke-endpoint-async.ts';
import type { Span, Tracer } from './tracing/span.ts';
import { traced } from './tracing/traced.ts';

export interface AsyncOptions {
  readonly config: EndpointConfig;
  readonly host: PipelineHost;
  readonly invoker: Invoker;
  readonly tracer: Tracer;
  readonly logger: Logger;
  /** Folder of this process' temporary files; answers are moved from it, so it lies on the queue's file system. */
  readonly scratchDir: string;
}

/** SageMaker's bound of an asynchronous request. */
const maxInputBytes = 1024 ** 3;
/** Bodies over this stay on disk, as those of HTTP requests do. */
const inMemoryBytes = 1024 ** 2;
const maxBacklog = 10_000;

/** Opens the queue and takes up what an earlier process left in it. */
export async function startAsyncJobs(
  options: AsyncOptions,
): Promise<Omit<AsyncInvocations, 'jobs'> & { readonly jobs: AsyncJobs }> {
  const { config, logger } = options;
  const allowed = new AllowedUris(config.allowedUris);
  const jobs = await AsyncJobs.start({
    folder: await JobFolder.open(join(config.dataDir, 'async-jobs')),
    work: workOf(options),
    notifier: notifierOf(config.asyncNotifyUri),
    concurrency: config.pipelines,
    maxBacklog,
    region: config.region ?? 'local',
    logger,
  });
  return {
    jobs,
    checkInput: (uri) => allowed.check(uri),
    outputUri: config.asyncOutputUri,
    failureUri: config.asyncFailureUri,
  };
}

function workOf({ host, invoker, tracer, scratchDir }: AsyncOptions): AsyncWork {
  return {
    async invoke(job, bodyPath, signal) {
      const jobDir = join(scratchDir, 'async', job.jobId);
      const release = () => rm(jobDir, { recursive: true, force: true });
      try {
        const path = bodyPath ?? join(jobDir, 'input');
        if (job.inputUri !== undefined) {
          await host.errand({ kind: 'fetch', uri: job.inputUri, toPath: path, limitBytes: maxInputBytes }, signal);
        }
        const body = await bodyOf(path);
        // The call that brought the job is long answered: its work is a trace of its own.
        const span = tracer.request('async job', {}, { 'map_endpoint.request_id': job.jobId });
        const answer = await traced(span, () => invoke(invoker, job, { body, scratchDir: jobDir, span, signal }));
        return { ...answer, release };
      } catch (thrown) {
        await release();
        throw thrown;
      }
    },
    async deliver(uri, fromPath, contentType, signal) {
      await host.errand({ kind: 'store', uri, fromPath, contentType }, signal);
    },
  };
}

async function bodyOf(path: string): Promise<ReceivedBody> {
  return (await stat(path)).size > inMemoryBytes ? { path } : { bytes: await readFile(path) };
}

async function invoke(
  invoker: Invoker,
  job: AsyncJob,
  given: {
    readonly body: ReceivedBody;
    readonly scratchDir: string;
    readonly span: Span;
    readonly signal: AbortSignal;
  },
): Promise<Omit<AsyncAnswer, 'release'>> {
  const { result } = await invoker.run({
    requestId: job.jobId,
    startedAt: performance.now(),
    deadline: Date.now() + job.timeoutSeconds * 1000,
    headers: job.headers,
    ...given,
  });
  if ((result.status ?? 200) >= 400) {
    throw new EndpointError('model_failed', `The handler answered with status ${result.status}.`);
  }
  const { contentType } = result;
  if (result.bodyPath !== undefined) return { contentType, content: { path: result.bodyPath } };
  return { contentType, content: { bytes: result.body ?? new Uint8Array() } };
}

function notifierOf(uri: string | undefined): Notifier | undefined {
  if (uri === undefined) return undefined;
  return uri.startsWith('file://') ? new FileNotifier(fileURLToPath(uri)) : new WebhookNotifier(uri);
}
