/**
 * Entry of a process of custom code: imports the handler of one archive, initializes it once, and runs its jobs. It has
 * no credentials, no connectors and no threads; what it may touch is told by the flags it is started with.
 */
import { abortError, EndpointError } from '../../errors.ts';
import type { Handler, ModelFacts } from '../../handlers/contract.ts';
import { type CustomCallContext, CustomHandler } from '../../handlers/custom/custom-handler.ts';
import { handlerError } from '../../handlers/custom/handler-errors.ts';
import { loadHandler } from '../../handlers/custom/load-handler.ts';
import { SessionNetworks } from '../../sessions/session-client.ts';
import { JobCancels } from '../job-cancels.ts';
import { serveFront } from '../process-loop.ts';
import type { FromPipeline, PipelineJob, ToPipeline } from '../protocol.ts';
import { RemoteSlots } from '../remote-slots.ts';
import { runHandlerJob } from '../run-handler-job.ts';
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
const cancels = new JobCancels();
let concurrency = 1;
let handler: CustomHandler | undefined;

async function prepare({ model, signature }: Extract<ToPipeline, { type: 'prepare' }>): Promise<ModelFacts> {
  try {
    const hasNetwork = signature !== undefined && signature.inputs.length > 0;
    const network = hasNetwork ? networks.networkOf(model.key, signature, concurrency) : undefined;
    const { name, dir, digest } = model;
    const created = new CustomHandler(await loadHandler(dir), { name, dir, digest, serverVersion, network });
    await created.initialize();
    handler = created;
    return { version: '0' };
  } catch (thrown) {
    report(thrown);
    throw thrown;
  }
}

async function run(job: PipelineJob): Promise<void> {
  const { jobId, model, scratchDir } = job;
  const { signal, requests } = cancels.open(job);
  await runHandlerJob(job, {
    requests,
    signal,
    send,
    handler: () => handlerFor(bundleCalls.runnerFor(scratchDir, signal)),
    network: undefined,
    writing: () => undefined,
    errorOf: (thrown) => {
      report(thrown);
      return signal.aborted ? abortError(signal) : handlerError(thrown, model.dir);
    },
  });
  cancels.close(jobId);
}

/** The handler for one job, which runs bundles with the rights of that job. */
function handlerFor(runBundle: CustomCallContext['runBundle']): Handler {
  const loaded = handler;
  if (!loaded) throw new EndpointError('internal', 'The handler is not initialized.');
  return {
    initialize: () => ({ version: '0' }),
    handle: (requests, context) => loaded.handle(requests, { ...context, runBundle }),
  };
}

/** The author's own trace, for whoever looks at what the handler prints. */
function report(thrown: unknown): void {
  const cause = thrown instanceof EndpointError && thrown.cause !== undefined ? thrown.cause : thrown;
  console.error(cause);
}

serveFront<ToCustom>({
  send,
  slots,
  configure: ({ workers }) => {
    concurrency = workers + 1;
  },
  prepare,
  prepareErrorOf: (thrown, { model }) => handlerError(thrown, model.dir),
  run,
  cancel: (jobId, index, reason) => {
    cancels.cancel(jobId, index, reason);
    send({ type: 'cancelling', jobId });
  },
  receive: (message) => bundleCalls.settle(message),
});
