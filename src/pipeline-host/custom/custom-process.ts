import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { abortError, asEndpointError, EndpointError } from '../../errors.ts';
import type { NetworkSignature } from '../../imaging/tensor.ts';
import type { Logger } from '../../logger.ts';
import { type ProcessMemory, readProcessMemory } from '../../sessions/process-memory.ts';
import type { SlotBroker } from '../../sessions/slots.ts';
import { PipelineProcess } from '../pipeline-process.ts';
import type { JobItem, PipelineJob, PipelineModel, PipelineSettings } from '../protocol.ts';
import { isBundleMessage, isFromCustom } from './custom-messages.ts';
import type { BundleMessage, ToCustom } from './custom-protocol.ts';
import { type CustomCodeSettings, spawnCustom } from './custom-spawn.ts';
import { MemoryWatch } from './memory-watch.ts';
import { logOutput } from './output-log.ts';

export interface CustomProcessOptions {
  readonly model: PipelineModel;
  readonly signature: NetworkSignature;
  /** Real path of the folder that the process may write. */
  readonly scratchDir: string;
  readonly code: CustomCodeSettings;
  readonly workers: number;
  readonly slots: SlotBroker;
  readonly logger: Logger;
  readonly cancelGraceMs: number;
  /** Runs the archive's bundle for the job that runs now. */
  readonly runBundle: (request: BundleMessage['request'], id: number) => Promise<JobItem>;
}

/** A handler that has not come back to its event loop after this is taken for one that never will. */
const cancelHeardMs = 500;
/** Memory of a busy process is read this often at most. */
const measureEveryMs = 500;

/** The front's side of one process of custom code: a pipeline process that is trusted with nothing. */
export class CustomProcess {
  readonly #options: CustomProcessOptions;
  readonly #child: ChildProcess;
  readonly #process: PipelineProcess;
  readonly #watch: MemoryWatch | undefined;
  readonly #exited: Promise<void>;
  #gone = false;
  #aborted = false;
  #memory: ProcessMemory = { usedBytes: 0, peakBytes: 0 };
  #measuredAt = Number.NEGATIVE_INFINITY;

  constructor(options: CustomProcessOptions) {
    this.#options = options;
    const { model, code, logger } = options;
    this.#child = spawnCustom(code, model.dir, options.scratchDir);
    this.#exited = this.#watchEnd();
    logOutput(this.#child.stdout, 'stdout', model.name, logger);
    logOutput(this.#child.stderr, 'stderr', model.name, logger);
    this.#child.on('message', (message) => {
      if (isBundleMessage(message)) void this.#runBundle(message);
    });
    this.#process = new PipelineProcess({
      settings: settingsOf(options.workers),
      slots: onlyOf(model.key, options.slots),
      logger,
      cancelGraceMs: options.cancelGraceMs,
      cancelHeardMs,
      onSpan: () => undefined,
      onExit: () => undefined,
      child: this.#child,
      accepts: isFromCustom,
    });
    const { pid } = this.#child;
    if (pid !== undefined) this.#watch = new MemoryWatch(pid, code.memoryBytes, () => this.kill());
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** Memory as of the last measurement. */
  get memory(): ProcessMemory {
    return this.#memory;
  }

  /**
   * Imports the handler and runs its `initialize`. Whatever it fails with, the process is to be ended then.
   *
   * @throws EndpointError `model_failed`, `unsupported_bundle`, `worker_crashed`; the signal's reason
   */
  async prepare(signal: AbortSignal): Promise<void> {
    const kill = (): void => this.kill(); // `initialize` has no signal, and may never yield
    signal.addEventListener('abort', kill, { once: true });
    try {
      if (signal.aborted) throw abortError(signal);
      await this.#process.ready;
      await this.#process.prepare(this.#options.model, this.#options.signature);
      await this.#measure();
    } catch (thrown) {
      throw await this.#explain(thrown, signal, 'while its initialize ran');
    } finally {
      signal.removeEventListener('abort', kill);
    }
  }

  /** @throws EndpointError what the handler failed with; `worker_crashed`; `model_failed` for memory; the signal's reason */
  async run(
    job: PipelineJob,
    signal: AbortSignal,
    onProgress?: (fraction: number, phase: string) => void,
  ): Promise<readonly JobItem[]> {
    try {
      return await this.#process.run(job, signal, onProgress);
    } catch (thrown) {
      throw await this.#explain(thrown, signal, 'while it worked on this request');
    } finally {
      if (performance.now() - this.#measuredAt > measureEveryMs) void this.#measure();
    }
  }

  kill(): void {
    this.#process.kill();
  }

  /** Kills the process and waits until it is gone. */
  async end(): Promise<void> {
    this.kill();
    await this.#exited;
  }

  async #watchEnd(): Promise<void> {
    const [, signal] = (await once(this.#child, 'exit').catch(() => [null, null])) as [unknown, NodeJS.Signals | null];
    this.#gone = true;
    this.#aborted = signal === 'SIGABRT';
    this.#watch?.stop();
  }

  /** The front's word on why a process died, where it knows better than that it did. */
  async #explain(thrown: unknown, signal: AbortSignal, when: string): Promise<EndpointError> {
    const error = asEndpointError(thrown);
    if (signal.aborted) return abortError(signal);
    if (error.code !== 'worker_crashed' || this.#child.connected) return error;
    await this.#exited;
    if (this.#watch?.exceeded(this.#aborted)) {
      const { memoryBytes } = this.#options.code;
      const message = `The handler used more than ${memoryBytes} bytes ${when} and was stopped (CUSTOM_CODE_MEMORY_BYTES).`;
      return new EndpointError('model_failed', message);
    }
    return new EndpointError(
      'worker_crashed',
      `The handler's process died ${when}; the next request starts a new one.`,
    );
  }

  async #runBundle({ id, request }: BundleMessage): Promise<void> {
    let answer: ToCustom;
    try {
      answer = { type: 'bundle-result', id, item: await this.#options.runBundle(request, id) };
    } catch (thrown) {
      answer = { type: 'bundle-failed', id, error: asEndpointError(thrown).toJSON() };
    }
    if (this.#child.connected) this.#child.send(answer, () => undefined);
  }

  async #measure(): Promise<void> {
    this.#measuredAt = performance.now();
    const read = this.#child.pid === undefined ? undefined : await readProcessMemory(this.#child.pid);
    if (read) this.#memory = { ...read, peakBytes: Math.max(read.peakBytes, this.#memory.peakBytes) };
  }
}

/** The little that custom code is told of the server. */
const settingsOf = (workers: number): PipelineSettings => ({
  allowedUris: [],
  threads: 0,
  workers,
  maxAnswerBytes: 0,
  logLevel: 'silent',
});

/** Slots of one model only: custom code must not run the networks of others. */
function onlyOf(key: string, slots: SlotBroker): SlotBroker {
  return {
    acquire: async (modelKey, signal) => {
      if (modelKey === key) return await slots.acquire(key, signal);
      throw new EndpointError('forbidden', 'A handler may run the network of its own archive only.');
    },
    release: (grant, outcome) => slots.release(grant, outcome),
  };
}
