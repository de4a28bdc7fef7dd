import { join } from 'node:path';
import { onnxFile } from './archive/layout.ts';
import type { WarmUp } from './config.ts';
import type { ModelFacts } from './handlers/contract.ts';
import type { NetworkSignature } from './imaging/tensor.ts';
import type { Logger } from './logger.ts';
import type { LoadedModel, ModelLoader } from './model-cache/model.ts';
import type { PipelineHost } from './pipeline-host/pipeline-host.ts';
import type { SessionPool } from './sessions/session-pool.ts';
import { trialElements, trialShapes } from './sessions/trial.ts';

export interface NetworkLoaderOptions {
  readonly host: PipelineHost;
  readonly sessions: SessionPool;
  /** Which networks are tried out. */
  readonly warmUp: WarmUp;
  readonly logger: Logger;
}

/** A trial with inputs of up to so many elements costs next to nothing: a slice of 512², a volume of 64³. */
const smallElements = 2 ** 19;

/**
 * Loads a model: its handler's check in a pipeline process and its network in a session child, side by side; then the
 * network is tried out.
 */
export class NetworkLoader implements ModelLoader {
  readonly #host: PipelineHost;
  readonly #sessions: SessionPool;
  readonly #options: NetworkLoaderOptions;
  readonly #facts = new Map<string, ModelFacts>();

  constructor(options: NetworkLoaderOptions) {
    this.#options = options;
    this.#host = options.host;
    this.#sessions = options.sessions;
  }

  async load(model: Omit<LoadedModel, 'signature'>, signal: AbortSignal): Promise<{ signature: NetworkSignature }> {
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
    { key, name }: Omit<LoadedModel, 'signature'>,
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

  async unload(key: string): Promise<void> {
    this.#facts.delete(key);
    this.#host.forget(key);
    await this.#sessions.unload(key);
  }

  usedBytes(key: string): number {
    return this.#sessions.usedBytes(key);
  }

  peakBytes(key: string): number {
    return this.#sessions.peakBytes(key);
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
