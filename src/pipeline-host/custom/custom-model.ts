import { mkdir, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { abortError, EndpointError, throwIfAborted } from '../../errors.ts';
import type { NetworkSignature } from '../../imaging/tensor.ts';
import type { ProcessMemory } from '../../sessions/process-memory.ts';
import { noSpan } from '../../tracing/span.ts';
import { traced } from '../../tracing/traced.ts';
import type { JobRequest } from '../pipeline-host.ts';
import type { JobItem, PipelineModel } from '../protocol.ts';
import { CustomProcess, type CustomProcessOptions } from './custom-process.ts';
import type { BundleMessage } from './custom-protocol.ts';
import { checkInside, shareBodies, takeResults } from './job-files.ts';

export interface CustomModelOptions
  extends Pick<CustomProcessOptions, 'code' | 'workers' | 'slots' | 'logger' | 'cancelGraceMs'> {
  readonly model: PipelineModel;
  readonly signature: NetworkSignature;
  /** Folder of this model's process; made when it is missing. */
  readonly scratchDir: string;
  readonly maxQueued: number;
  readonly warnings: () => readonly string[];
  /** Told of each process that takes the place of one that died. */
  readonly onRestart: () => void;
  /** Checks that the built-in handler can run the archive's bundle on its network. */
  readonly checkBuiltIn: (model: PipelineModel, signature: NetworkSignature, signal: AbortSignal) => Promise<unknown>;
  /** Runs a job through the built-in handler, in a pipeline process of the server. */
  readonly runBuiltIn: (request: JobRequest, signal: AbortSignal) => Promise<readonly JobItem[]>;
}

type OnProgress = (fraction: number, phase: string) => void;

interface Running {
  readonly request: JobRequest;
  readonly jobDir: string;
  readonly signal: AbortSignal;
}

/** A loaded model with code of its own: its process, begun anew after a death, and the jobs that wait for it. */
export class CustomModel {
  readonly #options: CustomModelOptions;
  readonly #waiting: (() => void)[] = [];
  #process: CustomProcess | undefined;
  #running: Running | undefined;
  #nextJobId = 0;
  #busy = false;
  #closed = false;
  #bundleFits = false;
  #peakBytes = 0;

  constructor(options: CustomModelOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.model.name;
  }

  /** Whether its process is there. */
  get lives(): boolean {
    return this.#process !== undefined && !this.#process.gone;
  }

  get queued(): number {
    return this.#waiting.length;
  }

  get running(): number {
    return this.#busy ? 1 : 0;
  }

  /** Memory of the process that is there now, and the most that one has held. */
  get memory(): ProcessMemory {
    const { usedBytes, peakBytes } = this.#process?.memory ?? { usedBytes: 0, peakBytes: 0 };
    this.#peakBytes = Math.max(this.#peakBytes, peakBytes);
    return { usedBytes, peakBytes: this.#peakBytes };
  }

  /** Starts the process and runs the handler's `initialize`. Throws as {@link CustomProcess.prepare}. */
  async load(signal: AbortSignal): Promise<void> {
    await mkdir(this.#options.scratchDir, { recursive: true, mode: 0o700 });
    await this.#ready(signal);
  }

  /**
   * Runs one job when those before it are done.
   *
   * @throws EndpointError `overloaded`, the signal's reason, and as {@link CustomProcess.run}
   */
  run(request: JobRequest, signal: AbortSignal, onProgress?: OnProgress): Promise<readonly JobItem[]> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    if (this.#closed) return Promise.reject(unloaded());
    const { maxQueued } = this.#options;
    if (this.#busy && this.#waiting.length >= maxQueued) {
      const message = `The queue of this model is full (${maxQueued} requests wait). Try again later.`;
      return Promise.reject(new EndpointError('overloaded', message));
    }
    const queuedAt = performance.now();
    const span = request.span ?? noSpan;
    const queueSpan = span.child('queue');
    return new Promise((resolve, reject) => {
      const start = (): void => {
        signal.removeEventListener('abort', withdraw);
        queueSpan.end();
        const handlerSpan = span.child('handler');
        const traceable = { ...request, span: handlerSpan }; // what the handler asks for is a part of its work
        traced(handlerSpan, () => this.#work(traceable, performance.now() - queuedAt, signal, onProgress))
          .then(resolve, reject)
          .finally(() => {
            this.#busy = false;
            this.#next();
          });
      };
      const withdraw = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(start), 1);
        const error = abortError(signal);
        queueSpan.end(error.code);
        reject(error);
      };
      signal.addEventListener('abort', withdraw, { once: true });
      this.#waiting.push(start);
      this.#next();
    });
  }

  /** Ends the process; resolves when its memory is back. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#process?.end();
    await rm(this.#options.scratchDir, { recursive: true, force: true });
  }

  #next(): void {
    if (this.#busy) return;
    const start = this.#waiting.shift();
    if (!start) return;
    this.#busy = true;
    start();
  }

  async #work(
    request: JobRequest,
    queueMs: number,
    signal: AbortSignal,
    onProgress: OnProgress | undefined,
  ): Promise<readonly JobItem[]> {
    if (this.#closed) throw unloaded();
    throwIfAborted(signal);
    const startedAt = performance.now();
    const process = await this.#ready(signal);
    const jobId = this.#nextJobId++;
    const jobDir = join(await realpath(this.#options.scratchDir), `job-${jobId}`);
    await mkdir(jobDir, { mode: 0o700 });
    this.#running = { request, jobDir, signal };
    try {
      const { loadMs, builtIn: _, span: __, ...job } = request;
      const items = await process.run(
        {
          ...job,
          model: await realModel(job.model),
          requests: await shareBodies(job.requests, jobDir),
          scratchDir: jobDir,
          jobId,
          waitedMs: { queue: queueMs, load: loadMs + performance.now() - startedAt },
          warnings: this.#options.warnings(),
        },
        signal,
        onProgress,
      );
      return await takeResults(items, jobDir, request.scratchDir);
    } finally {
      this.#running = undefined;
      await rm(jobDir, { recursive: true, force: true });
    }
  }

  /** The process, initialized; a new one when the last has died. */
  async #ready(signal: AbortSignal): Promise<CustomProcess> {
    if (this.#process && !this.#process.gone) return this.#process;
    if (this.#process) this.#options.onRestart();
    const { code, workers, slots, logger, cancelGraceMs, signature, scratchDir } = this.#options;
    const process = new CustomProcess({
      model: await realModel(this.#options.model),
      scratchDir: await realpath(scratchDir),
      signature,
      code,
      workers,
      slots,
      logger,
      cancelGraceMs,
      runBundle: (request, id) => this.#runBundle(request, id),
    });
    this.#process = process;
    try {
      await process.prepare(signal);
    } catch (thrown) {
      await process.end();
      throw thrown;
    }
    if (this.#closed) await process.end();
    return process;
  }

  async #runBundle({ body, bodyPath, headers }: BundleMessage['request'], id: number): Promise<JobItem> {
    const running = this.#running;
    if (!running) throw new EndpointError('model_failed', 'The handler ran its bundle outside of a request.');
    if (this.#options.signature.inputs.length === 0) {
      throw new EndpointError('unsupported_bundle', 'The archive has no models/model.onnx: there is no bundle to run.');
    }
    if (bodyPath !== undefined) await checkInside(bodyPath, running.jobDir);
    if (!this.#bundleFits)
      await this.#options.checkBuiltIn(running.request.model, this.#options.signature, running.signal);
    this.#bundleFits = true;
    const { requestId } = running.request.requests[0] ?? { requestId: '' };
    const content = bodyPath === undefined ? { body: body ?? new Uint8Array() } : { bodyPath };
    const request: JobRequest = {
      ...running.request,
      requests: [{ ...content, headers, requestId }],
      scratchDir: join(running.jobDir, `bundle-${id}`),
      builtIn: true,
    };
    const [item] = await this.#options.runBuiltIn(request, running.signal);
    if (!item) throw new EndpointError('internal', 'The bundle gave no result.');
    return item;
  }
}

/** The model by the real path of its folder: permissions are given by path. */
async function realModel(model: PipelineModel): Promise<PipelineModel> {
  return { ...model, dir: await realpath(model.dir) };
}

const unloaded = (): EndpointError => new EndpointError('model_not_found', 'The model was unloaded.');
