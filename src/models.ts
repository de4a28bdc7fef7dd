/** Wires the model cache: where models come from, what loading one means, and the regime of this server. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { modelNameOfTarget } from './api/target-model.ts';
import type { EndpointConfig } from './config.ts';
import { FolderArchives } from './connectors/filesystem/folder-archives.ts';
import { S3Archives } from './connectors/s3/s3-archives.ts';
import { S3Objects } from './connectors/s3/s3-objects.ts';
import { EndpointError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { ArchiveSource } from './model-cache/archive-source.ts';
import { BoundedWait } from './model-cache/bounded-wait.ts';
import { DiskCache } from './model-cache/disk-cache.ts';
import { ManagedModels } from './model-cache/managed-models.ts';
import { MemoryEstimates } from './model-cache/memory-estimates.ts';
import type { ModelStatus } from './model-cache/model.ts';
import type { ModelEvents } from './model-cache/model-events.ts';
import type { BundleRules } from './model-cache/prepare-bundle.ts';
import { Residency } from './model-cache/residency.ts';
import { SelfManagedModels } from './model-cache/self-managed-models.ts';
import { SingleModel } from './model-cache/single-model.ts';
import { NamedModels } from './named-models.ts';
import { NetworkLoader } from './network-loader.ts';
import type { CustomHost } from './pipeline-host/custom/custom-host.ts';
import type { PipelineHost } from './pipeline-host/pipeline-host.ts';
import type { ModelDirectory } from './server/invocation.ts';
import type { ManagedRegistry } from './server/model-registry.ts';
import type { OipModels } from './server/oip/oip-models.ts';
import { CpuDevice, type Device, NvidiaDevice } from './sessions/device.ts';
import type { SessionPool } from './sessions/session-pool.ts';

export interface ModelsOptions {
  readonly config: EndpointConfig;
  readonly sessions: SessionPool;
  readonly host: PipelineHost;
  /** Processes of custom code; undefined where it is not allowed. */
  readonly custom: CustomHost | undefined;
  readonly logger: Logger;
  /** Folder of this process, where models are unpacked. */
  readonly scratchDir: string;
  readonly events: ModelEvents;
}

/** The models of a server. */
export interface Models {
  readonly directory: ModelDirectory;
  readonly registry: ManagedRegistry;
  /** The same models by the names of the Open Inference Protocol. */
  readonly named: OipModels;
  status(): readonly ModelStatus[];
  /** True while this much more memory is free without unloading a model. */
  hasRoomFor(bytes: number): boolean;
  /** Whether their networks are in the host's memory, and not in a GPU's. */
  readonly areOnHost: boolean;
  /** Memory that models hold or have set aside. */
  heldBytes(): number;
  /** Unloads idle models, where this server may, until no more than this is held. */
  shrinkIdle(toBytes: number): void;
  evictions(): number;
}

/** Where SageMaker puts the model of a single-model container, and those of a multi-model one. */
const singleModelDir = '/opt/ml/model';
const managedModelsDir = '/opt/ml/models';

export async function createModels(options: ModelsOptions): Promise<Models> {
  const { config, sessions, host, custom, logger } = options;
  const device = await deviceOf(config, sessions, custom);
  const countsCustom = device instanceof CpuDevice;
  const loader = new NetworkLoader({ host, sessions, custom, countsCustom, warmUp: config.warmUp, logger });
  const residency = new Residency({
    device,
    loader,
    estimates: new MemoryEstimates(config.executionProviders.join(',')),
    logger,
    events: options.events,
  });
  const rules: BundleRules = {
    maxBytes: config.maxArchiveBytes,
    maxEntries: config.maxArchiveEntries,
    allowCustomCode: config.allowCustomCode,
  };
  const folder = modelsFolder(config);
  const registry = new ManagedModels({
    residency,
    rules,
    roots: folder === undefined ? [managedModelsDir] : [managedModelsDir, folder],
    urlForm: config.modelUrlForm,
  });
  const single = new SingleModel({ dir: singleModelDir, residency, rules });
  const stored = storedModels(options, folder, residency, rules);
  // Those who find their model loaded pass through: the pipelines' share is for them.
  const wait = new BoundedWait(config.maxQueuedRequests + config.pipelines);
  return {
    directory: {
      acquire: (target, signal, bundle) =>
        wait.during(async () => {
          if (target === undefined) return await single.acquire(signal, bundle);
          if (stored) return await stored.acquire(target, signal, bundle);
          // Without a place of archives, a name can only mean a bundle of the container's own model.
          if (!config.managed && bundle === undefined) return await single.acquire(signal, modelNameOfTarget(target));
          throw new EndpointError(
            'model_not_found',
            `There is no model "${target}": this server was given no MODEL_DATA_URL.`,
          );
        }),
      timeoutSeconds: (key) => loader.timeoutSeconds(key),
    },
    registry,
    named: new NamedModels({
      managed: config.managed,
      registry,
      stored,
      single,
      status: () => residency.status(),
      version: (key) => loader.version(key),
    }),
    status: () => residency.status(),
    hasRoomFor: (bytes) => residency.hasRoomFor(bytes),
    areOnHost: device instanceof CpuDevice,
    heldBytes: () => residency.heldBytes,
    shrinkIdle: (toBytes) => residency.shrinkIdle(toBytes),
    evictions: () => residency.evictions,
  };
}

/** The self-managed regime's models; none where SageMaker manages them or no place of models is set. */
function storedModels(
  { config, logger, scratchDir, events }: ModelsOptions,
  folder: string | undefined,
  residency: Residency,
  rules: BundleRules,
): SelfManagedModels | undefined {
  if (config.managed || config.modelDataUrl === undefined) return undefined;
  const source: ArchiveSource =
    folder === undefined
      ? new S3Archives(
          new S3Objects({ region: config.region, endpoint: config.s3Endpoint, maxSockets: 8 }),
          config.modelDataUrl,
        )
      : new FolderArchives(folder);
  const disk = new DiskCache({
    dir: join(scratchDir, 'models'),
    budgetBytes: config.diskBudgetBytes,
    source,
    rules,
    events,
  });
  return new SelfManagedModels({ source, disk, residency, refreshSeconds: config.modelRefreshSeconds, logger, events });
}

/** `MODEL_DATA_URL` as a folder of this machine; undefined when it is elsewhere or not set. */
function modelsFolder({ managed, modelDataUrl }: EndpointConfig): string | undefined {
  if (managed || modelDataUrl === undefined || modelDataUrl.startsWith('s3://')) return undefined;
  return modelDataUrl.startsWith('file://') ? fileURLToPath(modelDataUrl) : modelDataUrl;
}

async function deviceOf(
  config: EndpointConfig,
  sessions: SessionPool,
  custom: CustomHost | undefined,
): Promise<Device> {
  const onGpu = config.executionProviders.includes('cuda') && sessions.warnings.length === 0;
  if (onGpu) return await NvidiaDevice.open(0);
  return new CpuDevice(config.memoryBudgetBytes, () => sessions.heldBytes + (custom?.heldBytes ?? 0));
}
