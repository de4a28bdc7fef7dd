import { join } from 'node:path';
import { EndpointError } from '../../errors.ts';
import type { NetworkSignature } from '../../imaging/tensor.ts';
import type { WaitingRequests } from '../job-pace.ts';
import type { JobRequest } from '../pipeline-host.ts';
import type { JobItem, PipelineModel } from '../protocol.ts';
import { CustomModel, type CustomModelOptions } from './custom-model.ts';

export interface CustomHostOptions
  extends Omit<CustomModelOptions, 'model' | 'signature' | 'scratchDir' | 'onRestart'> {
  /** Folder under which each process gets one that it may write. */
  readonly scratchDir: string;
}

/** The loaded models that have code of their own, each with a process of its own (design §1). */
export class CustomHost {
  readonly #options: CustomHostOptions;
  readonly #models = new Map<string, CustomModel>();
  #nextDir = 1;
  #restarts = 0;

  constructor(options: CustomHostOptions) {
    this.#options = options;
  }

  get queued(): number {
    return this.#sum((model) => model.queued);
  }

  /** Requests that wait, by model; models without any are left out. */
  queuedByModel(): WaitingRequests[] {
    return [...this.#models.values()]
      .map(({ name, queued }) => ({ modelName: name, requests: queued }))
      .filter(({ requests }) => requests > 0);
  }

  get running(): number {
    return this.#sum((model) => model.running);
  }

  /** Processes that live. */
  get processes(): number {
    return this.#sum((model) => (model.lives ? 1 : 0));
  }

  /** Processes that died and were begun anew. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Memory of all processes, each at its peak. */
  get heldBytes(): number {
    return this.#sum((model) => model.memory.peakBytes);
  }

  /** True for a loaded model with code of its own: its jobs must not go to a shared process. */
  serves(key: string): boolean {
    return this.#models.has(key);
  }

  /**
   * Starts a model's process and runs its handler's `initialize`. {@link unload} is to be called when it fails, too.
   *
   * @throws EndpointError `model_failed` with the cause's message, `unsupported_bundle`, `worker_crashed`; the signal's reason
   */
  async load(model: PipelineModel, signature: NetworkSignature, signal: AbortSignal): Promise<void> {
    const scratchDir = join(this.#options.scratchDir, String(this.#nextDir++));
    const loading = new CustomModel({
      ...this.#options,
      model,
      signature,
      scratchDir,
      onRestart: () => this.#restarts++,
    });
    this.#models.set(model.key, loading);
    await loading.load(signal);
  }

  /** Ends a model's process; resolves when its memory is back. Does nothing for a key that it does not hold. */
  async unload(key: string): Promise<void> {
    const model = this.#models.get(key);
    this.#models.delete(key);
    await model?.close();
  }

  /** Runs a job of a model that {@link serves}. */
  async run(
    request: JobRequest,
    signal: AbortSignal,
    onProgress?: (fraction: number, phase: string) => void,
  ): Promise<readonly JobItem[]> {
    const model = this.#models.get(request.model.key);
    if (!model) throw new EndpointError('model_not_found', 'The model is not loaded.');
    return await model.run(request, signal, onProgress);
  }

  /** Bytes of a model's process, at its peak; 0 for a model without code of its own. */
  usedBytes(key: string): number {
    return this.#models.get(key)?.memory.peakBytes ?? 0;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#models.keys()].map((key) => this.unload(key)));
  }

  #sum(of: (model: CustomModel) => number): number {
    let total = 0;
    for (const model of this.#models.values()) total += of(model);
    return total;
  }
}
