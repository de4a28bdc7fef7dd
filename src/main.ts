/** Composition root of the front: wires settings, session children, pipeline processes, models and HTTP. */
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { startAsyncJobs } from './async.ts';
import { type ConfigOverrides, type EndpointConfig, parseConfig } from './config.ts';
import { EndpointError } from './errors.ts';
import { importReportsDir } from './local-store/import-reports.ts';
import { createLogger } from './logger.ts';
import { createModels, type Models } from './models.ts';
import { CustomHost } from './pipeline-host/custom/custom-host.ts';
import { type JobRequest, PipelineHost } from './pipeline-host/pipeline-host.ts';
import { ScratchRoot } from './scratch-root.ts';
import { createApp } from './server/app.ts';
import { BackgroundJobs } from './server/background.ts';
import { Health } from './server/health.ts';
import { Invoker } from './server/invocation.ts';
import { EndpointMetrics } from './server/metrics.ts';
import { SessionPool } from './sessions/session-pool.ts';
import { startStore } from './store-process.ts';
import { openTracer } from './tracing/open-tracer.ts';

export interface StartOptions {
  readonly mode: 'serve' | 'local';
  /** What a command line says over the environment. */
  readonly overrides?: ConfigOverrides;
}

/** A running endpoint. */
export interface RunningEndpoint {
  /** `http://host:port`, with the port that was taken. */
  readonly url: string;
  /** Stops taking work, lets running requests finish (at most 25 s), ends every process. */
  close(): Promise<void>;
}

/** SIGTERM is followed by SIGKILL after 30 s: running requests get this much of it. */
const drainMs = 25_000;
const customCancelGraceMs = 5000;
/** Asynchronous jobs that are stopped are not lost: they get less. */
const asyncGraceMs = 5_000;
/** A background job that is stopped must still say so in its `status.json`, before the SIGKILL. */
const backgroundGraceMs = 18_000;

/**
 * Starts the endpoint and resolves when it listens and its processes are ready.
 *
 * @throws EndpointError `invalid_request` for malformed settings; what a start may fail with
 */
export async function startEndpoint(options: StartOptions): Promise<RunningEndpoint> {
  const config = parseConfig(process.env, options.mode, options.overrides);
  process.title = 'me-front';
  const started: (() => Promise<void> | void)[] = [];
  const stopAll = async (): Promise<void> => {
    for (const stop of started.splice(0).reverse()) await stop();
  };
  try {
    return await start(config, options.mode, started, stopAll);
  } catch (thrown) {
    await stopAll();
    throw thrown;
  }
}

async function start(
  config: EndpointConfig,
  mode: StartOptions['mode'],
  started: (() => Promise<void> | void)[],
  stopAll: () => Promise<void>,
): Promise<RunningEndpoint> {
  const logger = createLogger('front', config.logLevel);
  await mkdir(config.dataDir, { recursive: true, mode: 0o700 });
  const scratch = await ScratchRoot.open(config.dataDir);
  started.push(() => scratch.remove());
  const tracer = await openTracer({ enabled: config.tracing, logger });
  started.push(() => tracer.close());
  // Children inherit the environment: what the exporter authenticates with is not for them.
  for (const name of ['OTEL_EXPORTER_OTLP_HEADERS', 'OTEL_EXPORTER_OTLP_TRACES_HEADERS']) delete process.env[name];
  const store = mode === 'local' ? await startStore(config, logger) : undefined;
  if (store) started.push(() => store.close());
  const sessions = await SessionPool.start({
    dataDir: scratch.dir,
    workers: config.workers,
    providers: config.executionProviders,
    environment: process.env,
    mayGrow: (_modelKey, replicaBytes) => models.hasRoomFor(replicaBytes),
    logger,
  });
  started.push(() => sessions.close());
  const custom: CustomHost | undefined = config.allowCustomCode
    ? new CustomHost({
        scratchDir: join(scratch.dir, 'handlers'),
        code: {
          environment: process.env,
          grantedVariables: config.customCodeEnvironment,
          memoryBytes: config.customCodeMemoryBytes,
          logOutput: config.customCodeLog,
        },
        workers: config.workers,
        slots: sessions,
        logger,
        cancelGraceMs: customCancelGraceMs,
        maxQueued: config.maxQueuedPerModel ?? config.maxQueuedRequests,
        warnings: () => sessions.warnings,
        checkBuiltIn: (model, signature, signal) => host.prepare(model, signal, signature),
        runBuiltIn: (request: JobRequest, signal: AbortSignal) => host.run(request, signal),
      })
    : undefined;
  if (custom) started.push(() => custom.close());
  const host: PipelineHost = new PipelineHost({
    processes: config.pipelines,
    settings: await pipelineSettings(config, store?.url),
    slots: sessions,
    warnings: () => sessions.warnings,
    logger,
    maxQueued: config.maxQueuedRequests,
    maxQueuedPerModel: config.maxQueuedPerModel,
    maxConcurrentPerModel: config.maxConcurrentPerModel,
    memory: {
      budgetBytes: config.memoryBudgetBytes,
      // Networks on a GPU take none of the memory that jobs need.
      modelBytes: () => (models.areOnHost ? models.heldBytes() : 0),
      shrinkModels: (toBytes) => models.shrinkIdle(toBytes),
    },
    onSpan: (record) => tracer.take(record),
    ...(custom ? { custom } : {}),
  });
  started.push(() => host.close());
  let asyncBacklog = (): number => 0;
  const metrics = metricsOf(
    host,
    custom,
    sessions,
    () => models,
    () => asyncBacklog(),
  );
  const models: Models = await createModels({
    config,
    sessions,
    host,
    custom,
    logger,
    scratchDir: scratch.dir,
    events: metrics.modelEvents,
  });
  const health = new Health({
    consecutiveFailedStarts: () => Math.max(host.consecutiveFailedStarts, sessions.consecutiveFailedStarts),
    warnings: () => sessions.warnings,
  });
  const background = new BackgroundJobs({
    host,
    modelTimeoutSeconds: models.directory.timeoutSeconds,
    timeoutSeconds: config.backgroundTimeoutSeconds,
    scratchRoot: join(scratch.dir, 'background'),
    metrics,
    logger,
  });
  const invoker = new Invoker({
    host,
    models: models.directory,
    metrics,
    maxBodyBytes: config.maxBodyBytes,
    concurrentLines: config.pipelines,
    maxLines: config.maxBatchLines,
    background,
  });
  const asyncJobs =
    mode === 'local'
      ? await startAsyncJobs({ config, host, invoker, tracer, logger, scratchDir: scratch.dir })
      : undefined;
  asyncBacklog = () => asyncJobs?.jobs.waiting ?? 0;
  const app = createApp({
    logger,
    health,
    invoker,
    metrics,
    tracer,
    registry: models.registry,
    oipModels: models.named,
    timeoutSeconds: config.requestTimeoutSeconds,
    maxBodyBytes: config.maxBodyBytes,
    concurrentJobs: config.pipelines,
    batch: config.batch,
    scratchRoot: join(scratch.dir, 'requests'),
    authToken: config.authToken,
    managementToken: config.managementToken,
    ...(store ? { local: { host: config.host, storeUrl: store.url } } : {}),
    ...(asyncJobs ? { asyncJobs } : {}),
  });
  const server = await listen(app.listen(config.port, config.host));
  started.push(async () => {
    await Promise.all([drain(server), background.close(backgroundGraceMs), asyncJobs?.jobs.close(asyncGraceMs)]);
  });
  await host.whenReady();
  health.start();
  logger.info({ mode, managed: config.managed }, 'ready');
  let closing: Promise<void> | undefined;
  return {
    url: `http://${hostForUrl(config.host)}:${(server.address() as AddressInfo).port}`,
    close: () => {
      health.drain();
      closing ??= stopAll();
      return closing;
    },
  };
}

function metricsOf(
  host: PipelineHost,
  custom: CustomHost | undefined,
  sessions: SessionPool,
  models: () => Models,
  asyncBacklog: () => number,
): EndpointMetrics {
  return new EndpointMetrics({
    queuedJobs: () => host.queued + (custom?.queued ?? 0),
    queuedByModel: () => [...host.queuedByModel(), ...(custom?.queuedByModel() ?? [])],
    runningJobs: () => host.running + (custom?.running ?? 0),
    pipelineProcesses: () => host.processes,
    pipelineCrashes: () => host.crashes,
    handlerProcesses: () => custom?.processes ?? 0,
    handlerRestarts: () => custom?.restarts ?? 0,
    sessionChildren: () => sessions.children,
    sessionRestarts: () => sessions.restarts,
    runningWindows: () => sessions.runningWindows,
    providerFallback: () => sessions.warnings.length,
    waitingWindows: () => sessions.waitingWindows,
    models: () => models().status(),
    evictions: () => models().evictions(),
    asyncBacklog,
  });
}

async function listen(server: Server): Promise<Server> {
  // Many small requests on one connection: the default of 5 s would close it under a client's feet.
  server.keepAliveTimeout = 65_000;
  server.requestTimeout = 0;
  try {
    await once(server, 'listening');
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
    throw new EndpointError('invalid_request', `The endpoint cannot listen on this host and port (${code}).`, {
      cause,
    });
  }
  return server;
}

/** Lets running requests finish; what is left after `drainMs` is cut. */
async function drain(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  // A client keeps its connection after its answer: it is closed as soon as it is idle.
  const idle = setInterval(() => server.closeIdleConnections(), 50);
  await Promise.race([closed, sleep(drainMs, undefined, { ref: false })]);
  clearInterval(idle);
  server.closeAllConnections();
}

const hostForUrl = (host: string): string => {
  if (host === '0.0.0.0' || host === '::') return '127.0.0.1';
  return host.includes(':') ? `[${host}]` : host;
};

/** How results get into a data store; the embedded one reads a folder of this user, and asks only for a well-formed role. */
async function healthImagingImport(config: EndpointConfig, storeUrl: string | undefined) {
  const local = storeUrl === undefined ? undefined : pathToFileURL(await importReportsDir()).href;
  const uri = config.healthImagingImportUri ?? local;
  const roleArn = config.healthImagingImportRoleArn ?? (local && 'arn:aws:iam::000000000000:role/map-endpoint-local');
  return uri === undefined || roleArn === undefined ? undefined : { uri, roleArn };
}

async function pipelineSettings(config: EndpointConfig, storeUrl: string | undefined) {
  const imports = await healthImagingImport(config, storeUrl);
  const healthImagingEndpoint = storeUrl ?? config.healthImagingEndpoint;
  return {
    allowedUris: config.allowedUris,
    ...(config.allowedDatastores ? { allowedDatastores: config.allowedDatastores } : {}),
    ...(config.region === undefined ? {} : { region: config.region }),
    ...(healthImagingEndpoint === undefined ? {} : { healthImagingEndpoint }),
    ...(storeUrl === undefined || config.storeToken === undefined ? {} : { healthImagingSecret: config.storeToken }),
    ...(config.s3Endpoint === undefined ? {} : { s3Endpoint: config.s3Endpoint }),
    ...(imports ? { healthImagingImport: imports } : {}),
    dicomWebAuthorization: config.dicomWebAuthorization,
    threads: config.workers,
    workers: config.workers,
    gainsFromBatches: config.executionProviders.includes('cuda'),
    maxAnswerBytes: config.maxBodyBytes,
    ...(storeUrl === undefined ? {} : { storeUris: [config.asyncOutputUri, config.asyncFailureUri] }),
    logLevel: config.logLevel,
  };
}
