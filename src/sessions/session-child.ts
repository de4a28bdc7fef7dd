import { type ChildProcess, fork } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { setPriority } from 'node:os';
import { compiledUrl } from '../compiled-url.ts';
import { abortError, EndpointError } from '../errors.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import { type ProcessMemory, readProcessMemory } from './process-memory.ts';
import type { FromSession, SessionDevice, ToSession } from './protocol.ts';
import type { TrialShapes } from './trial.ts';

/** The little that a session child is given of the environment: where the GPU libraries are, and which GPU. */
const passedOn = ['LD_LIBRARY_PATH', 'CUDA_VISIBLE_DEVICES', 'NVIDIA_VISIBLE_DEVICES', 'NVIDIA_DRIVER_CAPABILITIES'];
/** Niceness of everything that is not the front: requests are answered while volumes are segmented. */
const backgroundPriority = 5;
const startTimeoutMs = 30_000;

/** The environment of a session child: no credentials, and malloc told to give memory back (measured.md §5). */
export function sessionEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  const scrubbed: Record<string, string> = { MALLOC_TRIM_THRESHOLD_: '131072', MALLOC_MMAP_THRESHOLD_: '131072' };
  for (const name of passedOn) {
    const value = environment[name];
    if (value !== undefined) scrubbed[name] = value;
  }
  return scrubbed;
}

interface Pending {
  readonly resolve: (signature: NetworkSignature | undefined) => void;
  readonly reject: (error: Error) => void;
}

type Call = ToSession extends infer M ? (M extends { id: number } ? Omit<M, 'id'> : never) : never;

/** The front's side of one session child. */
export class SessionChild {
  readonly socketPath: string;
  /** Resolves when onnxruntime is imported and the socket listens; rejects when the process ends before. */
  readonly started: Promise<void>;
  /** Resolves when the process is gone (reaped by the kernel) and its socket removed. */
  readonly exited: Promise<void>;
  readonly #process: ChildProcess;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #gone = false;
  #memory: ProcessMemory = { usedBytes: 0, peakBytes: 0 };

  constructor(socketPath: string, environment: Readonly<Record<string, string | undefined>>) {
    this.socketPath = socketPath;
    this.#process = fork(compiledUrl(import.meta.url, './child-entry.ts'), [], {
      env: sessionEnvironment(environment),
      execArgv: [],
      serialization: 'json',
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    if (this.#process.pid !== undefined) lowerPriority(this.#process.pid);
    this.exited = new Promise((resolve) => {
      const ended = (): void => {
        this.#ended();
        rm(socketPath, { force: true }).then(resolve, resolve);
      };
      this.#process.once('exit', ended);
      this.#process.once('error', () => {
        if (this.#process.pid === undefined) ended(); // it could not even be spawned
      });
    });
    this.started = this.#start();
    this.started.catch(() => undefined); // whoever waits for it hears of it
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  get gone(): boolean {
    return this.#gone;
  }

  /** Memory as of the last {@link measure}. */
  get memory(): ProcessMemory {
    return this.#memory;
  }

  async measure(): Promise<void> {
    if (this.pid === undefined || this.#gone) return;
    const read = await readProcessMemory(this.pid);
    if (read) this.#memory = { ...read, peakBytes: Math.max(read.peakBytes, this.#memory.peakBytes) };
  }

  /**
   * Makes a session of an ONNX file.
   *
   * @throws EndpointError `invalid_archive`, `unsupported_bundle`, `insufficient_memory`; `worker_crashed` when the
   *   process dies; the signal's reason, and then the child is killed, as a load cannot be stopped otherwise
   */
  async load(
    sessionId: string,
    onnxPath: string,
    device: SessionDevice,
    signal: AbortSignal,
  ): Promise<NetworkSignature> {
    const kill = (): void => this.kill();
    signal.addEventListener('abort', kill, { once: true });
    try {
      if (signal.aborted) throw abortError(signal);
      const signature = await this.#call({ type: 'load', sessionId, onnxPath, device });
      if (!signature) throw new EndpointError('internal', 'A session child loaded a network and did not describe it.');
      return signature;
    } catch (thrown) {
      throw signal.aborted ? abortError(signal) : thrown;
    } finally {
      signal.removeEventListener('abort', kill);
    }
  }

  /** Runs a session once on a made-up input. Throws EndpointError `unsupported_bundle`, `worker_crashed`. */
  async tryOut(sessionId: string, shapes: TrialShapes): Promise<void> {
    await this.#call({ type: 'try', sessionId, shapes });
  }

  /** Releases a session: its memory goes back while the process lives on. */
  async unload(sessionId: string): Promise<void> {
    await this.#call({ type: 'unload', sessionId });
  }

  /** Throws EndpointError `internal` when no session can be made on these providers. */
  async probe(device: SessionDevice): Promise<void> {
    await this.#call({ type: 'probe', device });
  }

  /** Resolves when the grant's window does not run any more; rejects when the process ends. */
  async cancel(grantId: number): Promise<void> {
    await this.#call({ type: 'cancel', grantId });
  }

  kill(): void {
    this.#process.kill('SIGKILL');
  }

  /** Kills the process and waits until it is gone. There is nothing in it worth a softer end. */
  async end(): Promise<void> {
    this.kill();
    await this.exited;
  }

  #start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.kill(), startTimeoutMs);
      this.#process.on('message', (received) => {
        const message = received as FromSession;
        if (message.type === 'started') {
          clearTimeout(timer);
          resolve();
        } else {
          this.#settle(message);
        }
      });
      void this.exited.then(() => {
        clearTimeout(timer);
        reject(new EndpointError('worker_crashed', 'A session child ended before it was ready.'));
      });
      this.#send({ type: 'start', socketPath: this.socketPath });
    });
  }

  #call(call: Call): Promise<NetworkSignature | undefined> {
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      if (this.#gone) {
        reject(crashed());
        return;
      }
      this.#pending.set(id, { resolve, reject });
      this.#send({ ...call, id } as ToSession);
    });
  }

  #send(message: ToSession): void {
    // A send to a process that is gone fails; its exit settles everything that waits on it.
    if (this.#process.connected) this.#process.send(message, () => undefined);
  }

  #settle(message: Exclude<FromSession, { type: 'started' }>): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if (message.type === 'done') pending?.resolve(message.signature);
    else pending?.reject(EndpointError.fromBody(message.error));
  }

  #ended(): void {
    this.#gone = true;
    for (const pending of this.#pending.values()) pending.reject(crashed());
    this.#pending.clear();
  }
}

const crashed = (): EndpointError => new EndpointError('worker_crashed', 'A session child died while it was needed.');

/** The kernel may refuse (a process already gone): the work goes on all the same. */
function lowerPriority(pid: number): void {
  try {
    setPriority(pid, backgroundPriority);
  } catch {
    return;
  }
}
