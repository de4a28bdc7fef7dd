/**
 * Entry of a pipeline process: receives jobs from the front, runs them through the model's handler, one at a time.
 * It has the AWS credentials and the compute threads; the networks run in session children.
 */
import type { BackgroundPlan } from '../api/background-status.ts';
import { ThreadPool } from '../compute/pool.ts';
import { createConnectors } from '../connectors/drivers.ts';
import type { FileTransfers } from '../connectors/file-transfers.ts';
import { asEndpointError, EndpointError } from '../errors.ts';
import { HandlerCatalog } from '../handlers/catalog.ts';
import { createLogger, type Logger, loggableError } from '../logger.ts';
import { SessionNetworks } from '../sessions/session-client.ts';
import { continueTrace } from '../tracing/span-recorder.ts';
import { JobCancels } from './job-cancels.ts';
import { serveFront } from './process-loop.ts';
import type { Errand, FromPipeline, PipelineJob, PipelineSettings, ToPipeline } from './protocol.ts';
import { RemoteSlots } from './remote-slots.ts';
import { runHandlerJob } from './run-handler-job.ts';

/** What shared processes alone are told. */
type OwnMessage = Extract<ToPipeline, { type: 'errand' | 'stop-errand' | 'discard' }>;

interface Running {
  readonly catalog: HandlerCatalog;
  readonly transfers: FileTransfers;
  readonly networks: SessionNetworks;
  readonly settings: PipelineSettings;
  readonly logger: Logger;
}

process.title = 'me-pipeline';

/** What goes out with the next message, or by itself when this turn of promises is over. */
const held: FromPipeline[] = [];

function send(message: FromPipeline): void {
  const said = held.length === 0 ? message : [...held.splice(0), message];
  process.send?.(said, undefined, undefined, () => undefined);
}

function sendSoon(message: FromPipeline): void {
  held.push(message);
  process.nextTick(() => {
    const last = held.pop();
    if (last) send(last);
  });
}

const slots = new RemoteSlots(send, sendSoon);
const cancels = new JobCancels();
/** Errands by their id. */
const stops = new Map<number, AbortController>();
let running: Running | undefined;

function configure(settings: PipelineSettings): void {
  const pool = new ThreadPool(settings.threads);
  const logger = createLogger('pipeline', settings.logLevel);
  const { sources, sinks, publishers, transfers } = createConnectors(settings, logger);
  running = {
    catalog: new HandlerCatalog({ pool, maxAnswerBytes: settings.maxAnswerBytes, sources, sinks, publishers }),
    transfers,
    networks: new SessionNetworks(slots),
    settings,
    logger,
  };
}

async function doErrand(
  { transfers, catalog }: Running,
  errand: Errand,
  signal: AbortSignal,
): Promise<BackgroundPlan | undefined> {
  switch (errand.kind) {
    case 'fetch':
      await transfers.fetch(errand, signal);
      return undefined;
    case 'store':
      await transfers.store(errand, signal);
      return undefined;
    case 'status':
      await catalog.writeStatus(errand.prefixUri, errand.status);
      return undefined;
    case 'plan': {
      const { name, dir, digest } = errand.model;
      const handler = await catalog.handlerOf(errand.model);
      const systemProperties = { model_dir: dir, gpu_id: null, model_name: name };
      return await handler.plan(errand.request, { systemProperties, manifest: { sha256: digest }, signal });
    }
  }
}

async function answerErrand(own: Running, id: number, errand: Errand): Promise<void> {
  const controller = new AbortController();
  stops.set(id, controller);
  try {
    const plan = await doErrand(own, errand, controller.signal);
    send({ type: 'errand-done', id, ...(plan ? { plan } : {}) });
  } catch (thrown) {
    const error = asEndpointError(thrown);
    if (error.code === 'internal') own.logger.error({ error: loggableError(thrown) }, 'errand failed');
    send({ type: 'errand-done', id, error: error.toJSON() });
  } finally {
    stops.delete(id);
  }
}

async function discard({ catalog, logger }: Running, prefixUri: string): Promise<void> {
  try {
    await catalog.discard(prefixUri);
  } catch (thrown) {
    logger.warn({ error: loggableError(thrown) }, 'what a process that died had written cannot be removed');
  }
}

async function run({ catalog, networks, settings, logger }: Running, job: PipelineJob): Promise<void> {
  const { jobId, model } = job;
  const { signal, requests } = cancels.open(job);
  if (job.slot) slots.offered(model.key, job.slot);
  await runHandlerJob(job, {
    requests,
    signal,
    send,
    handler: () => catalog.handlerOf(model),
    network: networks.networkOf(model.key, job.signature, settings.workers + 1, settings.gainsFromBatches),
    span: continueTrace(job.trace, (record) => send({ type: 'span', jobId, record })),
    writing: (prefixUri) => send({ type: 'writing', jobId, prefixUri }),
    errorOf: (thrown) => logged(logger, thrown, 'job failed', model.name),
  });
  slots.takeBack();
  cancels.close(jobId);
}

/** The error for the caller; one that nobody foresaw is logged. */
function logged(logger: Logger, thrown: unknown, what: string, model: string): EndpointError {
  const error = asEndpointError(thrown);
  if (error.code === 'internal') logger.error({ error: loggableError(thrown), model }, what);
  return error;
}

function configured(): Running {
  if (!running) throw new EndpointError('internal', 'A pipeline process was given work before its settings.');
  return running;
}

serveFront<OwnMessage>({
  send,
  slots,
  configure,
  prepare: ({ model, signature }) => configured().catalog.prepare(model, signature),
  prepareErrorOf: (thrown, { model }) => logged(configured().logger, thrown, 'initialize failed', model.name),
  run: (job) => run(configured(), job),
  cancel: (jobId, index, reason) => cancels.cancel(jobId, index, reason),
  receive: (message) => {
    switch (message.type) {
      case 'errand':
        void answerErrand(configured(), message.id, message.errand);
        break;
      case 'stop-errand':
        stops.get(message.id)?.abort(EndpointError.fromBody(message.error));
        break;
      case 'discard':
        void discard(configured(), message.prefixUri);
        break;
    }
  },
});
