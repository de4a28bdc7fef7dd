import { join } from 'node:path';
import { onnxFile } from './archive/layout.ts';
import type { ModelFacts } from './handlers/contract.ts';
import type { NetworkSignature } from './imaging/tensor.ts';
import type { LoadedModel, ModelLoader } from './model-cache/model.ts';
import type { PipelineHost } from './pipeline-host/pipeline-host.ts';
import type { SessionPool } from './sessions/session-pool.ts';

/** Loads a model: its handler's check in a pipeline process and its network in a session child, side by side. */
export class NetworkLoader implements ModelLoader {
  readonly #host: PipelineHost;
  readonly #sessions: SessionPool;
  readonly #facts = new Map<string, ModelFacts>();

  constructor(host: PipelineHost, sessions: SessionPool) {
    this.#host = host;
    this.#sessions = sessions;
  }

  async load(model: Omit<LoadedModel, 'signature'>, signal: AbortSignal): Promise<{ signature: NetworkSignature }> {
    const [facts, { signature }] = await Promise.all([
      this.#host.prepare(model, signal),
      this.#sessions.load(model.key, join(model.dir, onnxFile), signal),
    ]);
    await this.#host.prepare(model, signal, signature);
    this.#facts.set(model.key, facts);
    return { signature };
  }

  async unload(key: string): Promise<void> {
    this.#facts.delete(key);
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
