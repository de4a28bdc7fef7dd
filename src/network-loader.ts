import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { handlerFile, onnxFile } from './archive/layout.ts';
import { readMapJson } from './archive/map-json-file.ts';
import type { WarmUp } from './config.ts';
import { EndpointError } from './errors.ts';
import type { ModelFacts } from './handlers/contract.ts';
import type { NetworkSignature } from './imaging/tensor.ts';
import type { Logger } from './logger.ts';
import type { LoadedModel, ModelLoader } from './model-cache/model.ts';
import type { CustomHost } from './pipeline-host/custom/custom-host.ts';
import type { PipelineHost } from './pipeline-host/pipeline-host.ts';
import type { SessionPool } from './sessions/session-pool.ts';
import { trialElements, trialShapes } from './sessions/trial.ts';

export interface NetworkLoaderOptions {
  readonly host: PipelineHost;
  readonly sessions: SessionPool;
  /** Processes of custom code; undefined where it is not allowed. */
  readonly custom: CustomHost | undefined;
  /** Whether a process of custom code takes of the memory that models are measured in: not of a GPU's. */
  readonly countsCustom: boolean;
  /** Which networks are tried out. */
  readonly warmUp: WarmUp;
  readonly logger: Logger;
}

type LoadingModel = Omit<LoadedModel, 'signature'>;

/** A trial with inputs of up to so many elements costs next to nothing: a slice of 512², a volume of 64³. */
const smallElements = 2 ** 19;
/** The signature of a model that is code alone. */
const noNetwork: NetworkSignature = { inputs: [], outputs: [] };

/**
 * Loads a model: its handler's check in a pipeline process and its network in a session child, side by side; then the
 * network is tried out. A model with code of its own gets a process of its own, once its network is there.
 */
export class NetworkLoader implements ModelLoader {
  readonly #host: PipelineHost;
  readonly #sessions: SessionPool;
  readonly #custom: CustomHost | undefined;
  readonly #options: NetworkLoaderOptions;
  readonly #facts = new Map<string, ModelFacts>();

  constructor(options: NetworkLoaderOptions) {
    this.#options = options;
    this.#host = options.host;
    this.#sessions = options.sessions;
    this.#custom = options.custom;
  }

  async load(model: LoadingModel, signal: AbortSignal): Promise<{ signature: NetworkSignature }> {
    if (await isFile(join(model.dir, handlerFile))) return await this.#loadCustom(model, signal);
    const [facts, { signature }] = await Promise.all([
      this.#host.prepare(model, signal),
      this.#sessions.load(model.key, join(model.dir, onnxFile), signal),
    ]);
    await this.#host.prepare(model, signal, signature);
    await this.#tryOut(model, signature, facts.windowShape, signal);
    this.#facts.set(model.key, facts);
    return { signature };
  }

  async #tryOut(
    { key, name }: LoadingModel,
    signature: NetworkSignature,
    windowShape: readonly number[] | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { warmUp, logger } = this.#options;
    if (warmUp === 'false') return;
    const shapes = trialShapes(signature, windowShape);
    if (!shapes) {
      logger.info({ model: name }, 'network not tried out: the shape of its input is not declared');
      return;
    }
    const elements = trialElements(shapes);
    if (warmUp === 'small' && elements > smallElements) {
      logger.debug({ model: name, elements }, 'network not tried out: its input is big');
      return;
    }
    await this.#sessions.tryOut(key, shapes, signal);
  }

  async #loadCustom(model: LoadingModel, signal: AbortSignal): Promise<{ signature: NetworkSignature }> {
    if (!this.#custom) {
      throw new EndpointError('unsupported_bundle', `The model has ${handlerFile}, and ALLOW_CUSTOM_CODE is not set.`);
    }
    const { inference, version = '0' } = await readMapJson(model.dir);
    const onnxPath = join(model.dir, onnxFile);
    const signature = (await isFile(onnxPath))
      ? (await this.#sessions.load(model.key, onnxPath, signal)).signature
      : noNetwork;
    if (signature !== noNetwork) await this.#tryOut(model, signature, undefined, signal);
    await this.#custom.load(model, signature, signal);
    const { timeoutSeconds } = inference;
    this.#facts.set(model.key, { version, ...(timeoutSeconds === undefined ? {} : { timeoutSeconds }) });
    return { signature };
  }

  async unload(key: string): Promise<void> {
    this.#facts.delete(key);
    this.#host.forget(key);
    await this.#custom?.unload(key); // first: its windows must not start a session again
    await this.#sessions.unload(key);
  }

  usedBytes(key: string): number {
    return this.#sessions.usedBytes(key) + this.#customBytes(key);
  }

  peakBytes(key: string): number {
    return this.#sessions.peakBytes(key) + this.#customBytes(key);
  }

  #customBytes(key: string): number {
    return this.#options.countsCustom && this.#custom ? this.#custom.usedBytes(key) : 0;
  }

  /** The model's own limit, where its `map.json` sets one. */
  timeoutSeconds(key: string): number | undefined {
    return this.#facts.get(key)?.timeoutSeconds;
  }

  /** The model's version, as its handler tells it; undefined where it isn't loaded. */
  version(key: string): string | undefined {
    return this.#facts.get(key)?.version;
  }
}

async function isFile(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ?? false;
}
