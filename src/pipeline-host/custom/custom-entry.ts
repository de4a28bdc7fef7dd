/**
 * Entry of a process of custom code: imports the handler of one archive, initializes it once, and runs its jobs. It has
 * no credentials, no connectors and no threads; what it may touch is told by the flags it is started with.
 */
import { abortError, EndpointError } from '../../errors.ts';
import type { Handler } from '../../handlers/contract.ts';
import { CustomHandler } from '../../handlers/custom/custom-handler.ts';
import { handlerError } from '../../handlers/custom/handler-errors.ts';
import { loadHandler } from '../../handlers/custom/load-handler.ts';
import { runHandler } from '../../handlers/handler-runner.ts';
import { SessionNetworks } from '../../sessions/session-client.ts';
import type { FromPipeline, PipelineJob, ToPipeline } from '../protocol.ts';
import { RemoteSlots } from '../remote-slots.ts';
import { BundleCalls } from './bundle-calls.ts';
import type { BundleMessage, ToCustom } from './custom-protocol.ts';

process.title = 'me-handler';
const serverVersion = process.argv[2] ?? '';
const toFront = process.send?.bind(process);

function send(message: FromPipeline | BundleMessage): void {
  toFront?.(message, undefined, undefined, () => undefined);
}

const slots = new RemoteSlots(send);
const networks = new SessionNetworks(slots);
const bundleCalls = new BundleCalls(send);
const cancels = new Map<number, AbortController>();
let concurrency = 1;
let handler: CustomHandler | undefined;

async function prepare({ id, model, signature }: Extract<ToPipeline, { type: 'prepare' }>): Promise<void> {
  try {
    const hasNetwork = signature !== undefined && signature.inputs.length > 0;
    const network = hasNetwork ? networks.networkOf(model.key, signature, concurrency) : undefined;
    const { name, dir, digest } = model;
    const created = new CustomHandler(await loadHandler(dir), { name, dir, digest, serverVersion, network });
    await created.initialize();
    handler = created;
    send({ type: 'prepared', id, model: { version: '0' } });
  } catch (thrown) {
    report(thrown);
    send({ type: 'unprepared', id, error: handlerError(thrown, model.dir).toJSON() });
  }
}

async function run(job: PipelineJob): Promise<void> {
  const { jobId, model, scratchDir } = job;
  const controller = new AbortController();
  cancels.set(jobId, controller);
  const { signal } = controller;
  try {
    const loaded = handler;
    if (!loaded) throw new EndpointError('internal', 'The handler is not initialized.');
    const runBundle = bundleCalls.runnerFor(scratchDir, signal);
    const adapted: Handler = {
      initialize: () => ({ version: '0' }),
      handle: (requests, context) => loaded.handle(requests, { ...context, runBundle }),
    };
    const items = await runHandler(adapted, job.requests, {
      systemProperties: { model_dir: model.dir, gpu_id: null, model_name: model.name },
      manifest: { sha256: model.digest },
      signal,
      deadline: job.deadline,
      scratchDir,
      waitedMs: job.waitedMs,
      warnings: job.warnings,
      network: undefined,
      progress: (fraction: number, phase: string) => send({ type: 'progress', jobId, fraction, phase }),
      writing: () => undefined,
    });
    send({ type: 'result', jobId, items });
  } catch (thrown) {
    report(thrown);
    const error = signal.aborted ? abortError(signal) : handlerError(thrown, model.dir);
    send({ type: 'failed', jobId, error: error.toJSON() });
  } finally {
    cancels.delete(jobId);
  }
}

/** The author's own trace, for whoever looks at what the handler prints. */
function report(thrown: unknown): void {
  const cause = thrown instanceof EndpointError && thrown.cause !== undefined ? thrown.cause : thrown;
  console.error(cause);
}

process.on('message', (received) => {
  const message = received as ToPipeline | ToCustom;
  switch (message.type) {
    case 'configure':
      concurrency = message.settings.workers + 1;
      send({ type: 'ready' });
      break;
    case 'prepare':
      void prepare(message);
      break;
    case 'job':
      void run(message.job);
      break;
    case 'cancel':
      cancels.get(message.jobId)?.abort(EndpointError.fromBody(message.error));
      break;
    case 'granted':
      slots.granted(message.id, message.grant);
      break;
    case 'refused':
      slots.refused(message.id, message.error);
      break;
    case 'bundle-result':
    case 'bundle-failed':
      bundleCalls.settle(message);
      break;
  }
});

// The front is gone: nobody can take an answer any more.
process.on('disconnect', () => process.exit(0));
