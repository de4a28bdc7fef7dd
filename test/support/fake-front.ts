import { once } from 'node:events';
import { mkdtempSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Express } from 'express';
import { abortError, EndpointError } from '../../src/errors.ts';
import { createLogger } from '../../src/logger.ts';
import type { ModelLease } from '../../src/model-cache/model.ts';
import type { JobRequest } from '../../src/pipeline-host/pipeline-host.ts';
import type { JobItem } from '../../src/pipeline-host/protocol.ts';
import { type AppOptions, createApp } from '../../src/server/app.ts';
import { Health } from '../../src/server/health.ts';
import { Invoker, type ModelDirectory } from '../../src/server/invocation.ts';
import { EndpointMetrics } from '../../src/server/metrics.ts';
import type { ManagedRegistry } from '../../src/server/model-registry.ts';
import type { OipModels } from '../../src/server/oip/oip-models.ts';
import { noTracer } from '../../src/tracing/span.ts';

/** The front's HTTP on a free port, with a handler function in place of pipeline processes and models from thin air. */
export interface FakeFront {
  readonly url: string;
  readonly app: Express;
  readonly health: Health;
  readonly scratchRoot: string;
  /** Leases that are not released yet. */
  readonly pinned: () => number;
  close(): Promise<void>;
}

export type FakeRun = (
  job: JobRequest,
  signal: AbortSignal,
  onProgress?: (fraction: number, phase: string) => void,
) => Promise<readonly JobItem[]>;

export async function startFakeFront(
  run: FakeRun,
  options: Partial<AppOptions> = {},
  /** Told what is asked of the models. */
  onAcquire: (target: string | undefined, bundle: string | undefined) => void = () => undefined,
): Promise<FakeFront> {
  let pinned = 0;
  const lease = (name: string): ModelLease => {
    pinned++;
    const model = { key: name, name, dir: '', digest: '', signature: { inputs: [], outputs: [] } };
    return { model, release: () => pinned-- };
  };
  const models: ModelDirectory = {
    acquire: async (target, signal, bundle) => {
      onAcquire(target, bundle);
      if (target?.startsWith('known-loading')) {
        return await new Promise((_, reject) => signal.addEventListener('abort', () => reject(abortError(signal))));
      }
      if (target === undefined) throw new EndpointError('invalid_request', 'Name a model.');
      if (!target.startsWith('known')) throw new EndpointError('model_not_found', 'No such model.');
      return lease(target.replace('.tar.gz', ''));
    },
    timeoutSeconds: (key) => (key === 'known-slow' ? 0.05 : undefined),
  };
  const unmanaged = (): never => {
    throw new EndpointError('model_not_found', 'No such model.');
  };
  const registry: ManagedRegistry = {
    load: async () => undefined,
    unload: unmanaged,
    describe: unmanaged,
    list: () => ({ models: [] }),
    acquire: unmanaged,
  };
  const oipModels: OipModels = {
    acquire: (name, signal) => models.acquire(`${name}.tar.gz`, signal),
    isReady: (name) => name === 'known',
    load: async () => undefined,
    unload: async () => undefined,
    version: () => '1',
    status: () => [],
  };
  const zero = (): number => 0;
  const metrics = new EndpointMetrics({
    queuedJobs: zero,
    queuedByModel: () => [],
    runningJobs: zero,
    pipelineProcesses: zero,
    pipelineCrashes: zero,
    asyncBacklog: zero,
    handlerProcesses: zero,
    handlerRestarts: zero,
    sessionChildren: zero,
    sessionRestarts: zero,
    runningWindows: zero,
    waitingWindows: zero,
    providerFallback: zero,
    evictions: zero,
    models: () => [],
  });
  const health = new Health({ consecutiveFailedStarts: zero, warnings: () => [] });
  health.start();
  const maxBodyBytes = options.maxBodyBytes ?? 4 * 1024 * 1024;
  const scratchRoot = mkdtempSync(join(tmpdir(), 'fake-front-'));
  const app = createApp({
    logger: createLogger('front', 'silent'),
    health,
    invoker: new Invoker({ host: { run }, models, metrics, maxBodyBytes, concurrentLines: 2, maxLines: 20 }),
    metrics,
    tracer: noTracer,
    registry,
    oipModels,
    timeoutSeconds: 5,
    maxBodyBytes,
    concurrentJobs: 2,
    batch: undefined,
    scratchRoot,
    authToken: undefined,
    managementToken: undefined,
    ...options,
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    app,
    health,
    scratchRoot,
    pinned: () => pinned,
    close: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
