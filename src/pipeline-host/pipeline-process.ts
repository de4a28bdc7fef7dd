import { type ChildProcess, fork } from 'node:child_process';
import { setPriority } from 'node:os';
import type { BackgroundPlan } from '../api/background-status.ts';
import { compiledUrl } from '../compiled-url.ts';
import { asEndpointError, EndpointError, throwIfAborted } from '../errors.ts';
import type { ModelFacts } from '../handlers/contract.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { Logger } from '../logger.ts';
import type { SlotBroker, SlotGrant } from '../sessions/slots.ts';
import type { SpanRecord } from '../tracing/span.ts';
import { parseTraceParent } from '../tracing/traceparent.ts';
import type {
  Errand,
  FromPipeline,
  JobItem,
  PipelineJob,
  PipelineModel,
  PipelineSettings,
  ToPipeline,
} from './protocol.ts';

/** What the front's side of a pipeline process needs. */
export interface PipelineProcessOptions {
  readonly settings: PipelineSettings;
  readonly slots: SlotBroker;
  readonly logger: Logger;
  /** Milliseconds that a cancelled job has to end by itself before the process is killed. */
  readonly cancelGraceMs: number;
  /**
   * Milliseconds in which a process must say that it has heard of a cancellation, or be killed: it never yields, and no
   * grace would end its job. Default: it need not say so.
   */
  readonly cancelHeardMs?: number;
  /** Given each span that the process records of its job. */
  readonly onSpan: (record: SpanRecord) => void;
  /** Called once, when the process is gone; `leftPrefixUris` is where its job was writing. */
  readonly onExit: (leftPrefixUris: readonly string[]) => void;
  /** The process, where it is another one than a shared one. */
  readonly child?: ChildProcess;
  /** Whether a message is one that this process may send; one that it may not ends the process. */
  readonly accepts?: (message: unknown) => boolean;
}

interface Pending<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** Niceness of everything that is not the front: requests are answered while volumes are segmented. */
const backgroundPriority = 5;

const maxSpansOfAJob = 1000;

/** The front's side of one pipeline process: one job at a time; `prepare` may come in between. */
export class PipelineProcess {
  readonly #child: ChildProcess;
  readonly #options: PipelineProcessOptions;
  readonly #prepares = new Map<number, Pending<ModelFacts>>();
  readonly #errands = new Map<number, Pending<BackgroundPlan | undefined>>();
  readonly #asked = new Map<number, AbortController>();
  readonly #grants = new Map<number, SlotGrant>();
  readonly ready: Promise<void>;
  #job: (Pending<readonly JobItem[]> & { readonly jobId: number; readonly traceId: string | undefined }) | undefined;
  #deafTimer: NodeJS.Timeout | undefined;
  #spansLeft = 0;
  #onProgress: ((fraction: number, phase: string) => void) | undefined;
  readonly #writingPrefixUris = new Set<string>();
  #nextPrepareId = 0;
  #nextErrandId = 0;
  #exited = false;

  constructor(options: PipelineProcessOptions) {
    this.#options = options;
    this.#child = options.child ?? forkShared();
    let markReady: Pending<void> | undefined;
    this.ready = new Promise((resolve, reject) => {
      markReady = { resolve, reject };
    });
    this.ready.catch(() => undefined); // also told by onExit; the host decides what a failed start means
    this.#child.on('message', (message) => {
      if (options.accepts && !options.accepts(message)) {
        this.kill();
        return;
      }
      for (const said of Array.isArray(message) ? (message as FromPipeline[]) : [message as FromPipeline]) {
        if (said.type === 'ready') markReady?.resolve();
        else this.#receive(said);
      }
    });
    this.#child.on('error', () => this.#ended(markReady));
    this.#child.on('exit', () => this.#ended(markReady));
    if (this.#child.pid !== undefined) lowerPriority(this.#child.pid);
    this.#send({ type: 'configure', settings: options.settings });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** True while an `initialize` or an errand runs. */
  get preparing(): boolean {
    return this.#prepares.size > 0 || this.#errands.size > 0;
  }

  /** Runs a model's `initialize`; also possible while a job runs. */
  prepare(model: PipelineModel, signature?: NetworkSignature): Promise<ModelFacts> {
    const id = this.#nextPrepareId++;
    return new Promise((resolve, reject) => {
      if (this.#exited) {
        reject(died());
        return;
      }
      this.#prepares.set(id, { resolve, reject });
      this.#send({ type: 'prepare', id, model, ...(signature ? { signature } : {}) });
    });
  }

  /** Runs one job; the signal cancels it, at the latest by killing the process. */
  async run(
    job: PipelineJob,
    signal: AbortSignal,
    onProgress?: (fraction: number, phase: string) => void,
  ): Promise<readonly JobItem[]> {
    if (this.#job) throw new EndpointError('internal', 'A pipeline process was given a second job.');
    if (this.#exited) throw died();
    const outcome = new Promise<readonly JobItem[]>((resolve, reject) => {
      this.#job = { jobId: job.jobId, traceId: parseTraceParent(job.trace?.traceparent)?.traceId, resolve, reject };
    });
    this.#spansLeft = maxSpansOfAJob;
    this.#onProgress = onProgress;
    let killTimer: NodeJS.Timeout | undefined;
    const cancel = (): void => {
      const { cancelGraceMs, cancelHeardMs } = this.#options;
      this.#send({ type: 'cancel', jobId: job.jobId, error: asEndpointError(signal.reason).toJSON() });
      killTimer = setTimeout(() => this.kill(), cancelGraceMs);
      if (cancelHeardMs !== undefined) this.#deafTimer = setTimeout(() => this.kill(), cancelHeardMs);
    };
    signal.addEventListener('abort', cancel, { once: true });
    this.#send({ type: 'job', job: this.#withSlot(job) });
    if (signal.aborted) cancel();
    try {
      return await outcome;
    } finally {
      signal.removeEventListener('abort', cancel);
      clearTimeout(killTimer);
      clearTimeout(this.#deafTimer);
      this.#job = undefined;
      this.#onProgress = undefined;
      if (!this.#exited) this.#writingPrefixUris.clear();
    }
  }

  /** Does a small work; also possible while a job runs. Gives the plan where one was asked for. */
  async errand(errand: Errand, signal: AbortSignal): Promise<BackgroundPlan | undefined> {
    if (this.#exited) throw died();
    throwIfAborted(signal);
    const id = this.#nextErrandId++;
    const stop = (): void => {
      this.#send({ type: 'stop-errand', id, error: asEndpointError(signal.reason).toJSON() });
    };
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await new Promise((resolve, reject) => {
        this.#errands.set(id, { resolve, reject });
        this.#send({ type: 'errand', id, errand });
      });
    } finally {
      signal.removeEventListener('abort', stop);
      this.#errands.delete(id);
    }
  }

  /** A job that runs its network at once gets a slot along, where one is free. */
  #withSlot(job: PipelineJob): PipelineJob {
    const runsAtOnce = job.requests.every(({ protocol, body }) => protocol === 'oip' && body !== undefined);
    const slot = runsAtOnce ? this.#options.slots.offer?.(job.model.key) : undefined;
    if (!slot) return job;
    this.#grants.set(slot.grantId, slot);
    return { ...job, slot };
  }

  /** Cancels one request of a job; the others go on. */
  cancelRequest(jobId: number, index: number, error: EndpointError): void {
    this.#send({ type: 'cancel', jobId, index, error: error.toJSON() });
  }

  /** Has this process remove what another one left under a prefix when it died. */
  discard(prefixUri: string): void {
    this.#send({ type: 'discard', prefixUri });
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #send(message: ToPipeline): void {
    // A send to a process that is gone fails; its exit event settles everything that waits on it.
    if (this.#child.connected) this.#child.send(message, () => undefined);
  }

  #receive(message: Exclude<FromPipeline, { type: 'ready' }>): void {
    switch (message.type) {
      case 'prepared':
        this.#settlePrepare(message.id, (pending) => pending.resolve(message.model));
        break;
      case 'unprepared':
        this.#settlePrepare(message.id, (pending) => pending.reject(EndpointError.fromBody(message.error)));
        break;
      case 'result':
        if (this.#job?.jobId === message.jobId) this.#job.resolve(message.items);
        break;
      case 'failed':
        if (this.#job?.jobId === message.jobId) this.#job.reject(EndpointError.fromBody(message.error));
        break;
      case 'progress':
        if (this.#job?.jobId === message.jobId) this.#onProgress?.(message.fraction, message.phase);
        break;
      case 'cancelling':
        if (this.#job?.jobId === message.jobId) clearTimeout(this.#deafTimer);
        break;
      case 'writing':
        this.#writingPrefixUris.add(message.prefixUri);
        break;
      case 'errand-done': {
        const pending = this.#errands.get(message.id);
        if (message.error) pending?.reject(EndpointError.fromBody(message.error));
        else pending?.resolve(message.plan);
        break;
      }
      case 'span':
        // The process may run a model's own code: it cannot write into other traces, nor without end.
        if (this.#job?.jobId !== message.jobId || message.record.traceId !== this.#job.traceId) break;
        if (this.#spansLeft-- > 0) this.#options.onSpan(message.record);
        break;
      case 'acquire':
        void this.#acquire(message.id, message.modelKey);
        break;
      case 'withdraw':
        this.#asked.get(message.id)?.abort(new EndpointError('deadline_exceeded', 'The slot was withdrawn.'));
        break;
      case 'release': {
        const grant = this.#grants.get(message.grantId);
        this.#grants.delete(message.grantId);
        if (grant) this.#options.slots.release(grant, message.outcome);
        break;
      }
    }
  }

  #settlePrepare(id: number, settle: (pending: Pending<ModelFacts>) => void): void {
    const pending = this.#prepares.get(id);
    this.#prepares.delete(id);
    if (pending) settle(pending);
  }

  async #acquire(id: number, modelKey: string): Promise<void> {
    const controller = new AbortController();
    this.#asked.set(id, controller);
    try {
      const grant = await this.#options.slots.acquire(modelKey, controller.signal);
      if (this.#exited) {
        this.#options.slots.release(grant, 'done');
        return;
      }
      this.#grants.set(grant.grantId, grant);
      this.#send({ type: 'granted', id, grant });
    } catch (thrown) {
      this.#send({ type: 'refused', id, error: asEndpointError(thrown).toJSON() });
    } finally {
      this.#asked.delete(id);
    }
  }

  #ended(markReady: Pending<void> | undefined): void {
    if (this.#exited) return;
    this.#exited = true;
    const error = died();
    markReady?.reject(error);
    for (const controller of this.#asked.values()) controller.abort(error);
    for (const grant of this.#grants.values()) this.#options.slots.release(grant, 'abandoned');
    this.#grants.clear();
    for (const pending of this.#prepares.values()) pending.reject(error);
    this.#prepares.clear();
    for (const pending of this.#errands.values()) pending.reject(error);
    this.#job?.reject(error);
    this.#options.onExit([...this.#writingPrefixUris]);
  }
}

const died = (): EndpointError =>
  new EndpointError('worker_crashed', 'The pipeline process died while it worked on this request.');

const forkShared = (): ChildProcess =>
  fork(compiledUrl(import.meta.url, './entry.ts'), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });

/** The kernel may refuse (a container without the capability, a process already gone): the work goes on all the same. */
function lowerPriority(pid: number): void {
  try {
    setPriority(pid, backgroundPriority);
  } catch {
    return;
  }
}
