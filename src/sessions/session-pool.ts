import { rm } from 'node:fs/promises';
import type { ExecutionProvider } from '../config.ts';
import { abortError, EndpointError } from '../errors.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { Logger } from '../logger.ts';
import { ChildSupply } from './child-supply.ts';
import { type ChosenSeating, chooseSeating } from './choose-seating.ts';
import { PooledModel } from './pooled-model.ts';
import type { Seat, Seating } from './seats.ts';
import type { SessionChild } from './session-child.ts';
import { SlotQueue, type Waiter } from './slot-queue.ts';
import type { SlotBroker, SlotGrant, SlotOutcome } from './slots.ts';
import { makeSocketDir } from './socket-dir.ts';
import type { TrialShapes } from './trial.ts';

export interface SessionPoolOptions {
  /** Folder of this server's own files; the sockets lie in a private folder of it. */
  readonly dataDir: string;
  /** Windows that run at once over all children. */
  readonly workers: number;
  readonly providers: readonly ExecutionProvider[];
  /** The server's environment; the children get next to nothing of it. */
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
  /** Asked before a further replica of a model starts: is there memory for it? Default: always. */
  readonly mayGrow?: (modelKey: string, replicaBytes: number) => boolean;
  /** Idle time after which a further replica ends. Default 10 s. */
  readonly replicaIdleMs?: number;
  /** Time that an abandoned window may go on before its child is killed. Default 5 s. */
  readonly overrunMs?: number;
}

/** A grant that is out. */
interface Running {
  readonly grant: SlotGrant;
  readonly model: PooledModel;
  readonly seat: Seat;
}

/** A window has to wait this long before a replica starts for it: for shorter ones it would not be worth it. */
const growAfterMs = 25;

/**
 * The front's pool of session children (design §1). Hands out slots so that at most `workers` windows run at once,
 * models take turns, and every loaded model has a child, also after one died.
 */
export class SessionPool implements SlotBroker {
  readonly #options: SessionPoolOptions;
  readonly #socketDir: string;
  readonly #supply: ChildSupply;
  readonly #models = new Map<string, PooledModel>();
  readonly #queue = new SlotQueue();
  readonly #running = new Map<number, Running>();
  readonly #seating: Seating;
  /** What is degraded: a GPU provider that was asked for and is not there. */
  readonly warnings: readonly string[];
  #growTimer: NodeJS.Timeout | undefined;
  #nextGrantId = 1;
  #nextSessionId = 1;
  #restarts = 0;
  #closed = false;

  private constructor(options: SessionPoolOptions, socketDir: string, supply: ChildSupply, chosen: ChosenSeating) {
    this.#options = options;
    this.#socketDir = socketDir;
    this.#supply = supply;
    this.#seating = chosen.seating;
    this.warnings = chosen.warnings;
  }

  /**
   * Starts the pool with a child in reserve, and finds out whether the providers work on this machine.
   *
   * @throws EndpointError `internal` when a provider does not work and `cpu` is not among the others; `worker_crashed`
   *   when no child can be started
   */
  static async start(options: SessionPoolOptions): Promise<SessionPool> {
    const { environment, logger, providers, dataDir } = options;
    const socketDir = await makeSocketDir(dataDir);
    const supply = new ChildSupply({ socketDir, environment, logger });
    try {
      supply.prepareSpare();
      return new SessionPool(options, socketDir, supply, await chooseSeating(supply, providers, logger));
    } catch (thrown) {
      await supply.close();
      await rm(socketDir, { recursive: true, force: true });
      throw thrown;
    }
  }

  /** True once children can be started. */
  get isReady(): boolean {
    return !this.#closed;
  }

  get consecutiveFailedStarts(): number {
    return this.#supply.failedStarts;
  }

  /** Session children that live, the spare included. */
  get children(): number {
    return this.#supply.children.size;
  }

  /** Children that died, were killed for an overrun, and have been replaced, since the start. */
  get restarts(): number {
    return this.#restarts;
  }

  /** Windows that run now. */
  get runningWindows(): number {
    return this.#running.size;
  }

  /** Windows that wait for a slot. */
  get waitingWindows(): number {
    let windows = 0;
    for (const modelKey of this.#queue.modelKeys) windows += this.#queue.waiting(modelKey);
    return windows;
  }

  /**
   * Loads a network and makes it known under `modelKey`. On failure nothing of it stays.
   *
   * @throws EndpointError `invalid_archive`, `unsupported_bundle`, `insufficient_memory`, `worker_crashed`; the
   *   signal's reason
   */
  async load(modelKey: string, onnxPath: string, signal: AbortSignal): Promise<{ signature: NetworkSignature }> {
    if (this.#models.has(modelKey)) throw new EndpointError('internal', 'A model was loaded twice under one key.');
    const model = new PooledModel(modelKey, onnxPath);
    this.#models.set(modelKey, model);
    try {
      // An unload in the middle ends the load, whoever still waits for it.
      const seat = await this.#seat(model, AbortSignal.any([signal, model.closed]));
      return { signature: seat.signature };
    } catch (thrown) {
      this.#models.delete(modelKey);
      throw thrown;
    }
  }

  /**
   * Runs a loaded network once on a made-up input, as a window among others, and checks what it gives. Its memory is
   * measured afterwards.
   *
   * @throws EndpointError `unsupported_bundle`, `worker_crashed`; the signal's reason, and then the run may go on until
   *   the model is unloaded
   */
  async tryOut(modelKey: string, shapes: TrialShapes, signal: AbortSignal): Promise<void> {
    const grant = await this.acquire(modelKey, signal);
    const { child } = (this.#running.get(grant.grantId) as Running).seat;
    const work = child.tryOut(grant.sessionId, shapes).finally(() => this.release(grant, 'done'));
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => reject(abortError(signal));
      signal.addEventListener('abort', leave, { once: true });
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
    });
    await child.measure();
  }

  /**
   * Takes a model away: waiting windows are refused, running ones have `overrunMs` to end. Resolves when its processes
   * are gone (GPU: its session is released). Never throws.
   */
  async unload(modelKey: string): Promise<void> {
    const model = this.#models.get(modelKey);
    if (!model) return;
    model.close();
    const unloaded = new EndpointError('model_not_found', 'The model was unloaded while the request waited for it.');
    this.#queue.rejectAll(modelKey, unloaded);
    await model.whenIdle(this.#options.overrunMs ?? 5_000);
    await model.whenSeated();
    await Promise.all([...model.seats].map((seat) => this.#vacate(model, seat)));
    this.#models.delete(modelKey);
  }

  acquire(modelKey: string, signal: AbortSignal): Promise<SlotGrant> {
    const model = this.#models.get(modelKey);
    if (!model || model.closing || this.#closed) {
      return Promise.reject(new EndpointError('model_not_found', 'The model is not loaded.'));
    }
    if (signal.aborted) return Promise.reject(abortError(signal));
    return new Promise((resolve, reject) => {
      const settled = (): void => signal.removeEventListener('abort', withdraw);
      const waiter: Waiter = {
        since: performance.now(),
        resolve: (grant) => {
          settled();
          resolve(grant);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      const withdraw = (): void => {
        if (this.#queue.remove(modelKey, waiter)) waiter.reject(abortError(signal));
      };
      signal.addEventListener('abort', withdraw, { once: true });
      this.#queue.push(modelKey, waiter);
      this.#dispatch();
    });
  }

  offer(modelKey: string): SlotGrant | undefined {
    const model = this.#models.get(modelKey);
    if (!model || model.closing || this.#closed || this.#running.size >= this.#options.workers) return undefined;
    // A free seat means that no window of this model waits, and a free slot that none of another could have it.
    const seat = this.#freeSeat(modelKey);
    return seat && this.#grant(model, seat);
  }

  release(grant: SlotGrant, outcome: SlotOutcome): void {
    const running = this.#running.get(grant.grantId);
    if (!running) return; // its child died, which freed the slot
    const { child } = running.seat;
    switch (outcome) {
      case 'done':
        this.#free(running);
        break;
      case 'lost':
        // A child whose socket fails is of no use, whatever it still does; its end frees the slot.
        child.kill();
        break;
      case 'abandoned': {
        const overrun = setTimeout(() => child.kill(), this.#options.overrunMs ?? 5_000);
        child
          .cancel(grant.grantId)
          .then(() => this.#free(running))
          .catch(() => undefined) // it died: its end freed the slot
          .finally(() => clearTimeout(overrun));
        break;
      }
    }
  }

  /** Measured memory of a model's processes now, in bytes, each at its peak; 0 for an unknown one. */
  usedBytes(modelKey: string): number {
    return this.#models.get(modelKey)?.usedBytes ?? 0;
  }

  /** Measured memory of all processes that hold models, in bytes: what counts against a device's budget. */
  get heldBytes(): number {
    return [...this.#models.values()].reduce((sum, model) => sum + model.usedBytes, 0);
  }

  /** The most that one copy of the model has held, in bytes: what the next load of it will need. */
  peakBytes(modelKey: string): number {
    return this.#models.get(modelKey)?.peakBytes ?? 0;
  }

  /** Ends every child. Windows that wait are refused. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#growTimer);
    for (const model of this.#models.values()) model.close();
    for (const modelKey of this.#queue.modelKeys) {
      this.#queue.rejectAll(modelKey, new EndpointError('overloaded', 'The server is shutting down.'));
    }
    await this.#supply.close();
    await rm(this.#socketDir, { recursive: true, force: true });
  }

  /** Gives a model one more seat. */
  async #seat(model: PooledModel, signal: AbortSignal): Promise<Seat> {
    const seated = this.#seating.seat(`${this.#nextSessionId++}`, model.onnxPath, signal);
    model.seating.add(seated);
    try {
      const seat = await seated;
      model.seats.add(seat);
      void seat.child.exited.then(() => this.#lost(model, seat));
      this.#dispatch();
      return seat;
    } finally {
      model.seating.delete(seated);
    }
  }

  async #vacate(model: PooledModel, seat: Seat): Promise<void> {
    model.seats.delete(seat);
    await this.#seating.vacate(seat);
  }

  /** The child of a seat ended: what ran there is free, and the model gets another child. */
  #lost(model: PooledModel, seat: Seat): void {
    const wasWanted = model.seats.delete(seat); // first, so that nothing is given to it any more
    for (const running of [...this.#running.values()]) {
      if (running.seat === seat) this.#free(running);
    }
    if (!wasWanted || this.#closed) return;
    this.#restarts++;
    this.#options.logger.warn({ pid: seat.child.pid }, 'a session child died');
    if (!model.closing && model.seats.size === 0) this.#reseat(model);
  }

  /** Starts a model's child again, in the background; whoever waits for it hears when that fails. */
  #reseat(model: PooledModel): void {
    if (model.seating.size > 0) return;
    this.#seat(model, model.closed).then(
      () => this.#supply.succeeded(),
      (thrown: unknown) => {
        if (model.closing) return;
        this.#supply.failed();
        const failed = new EndpointError('worker_crashed', 'The process of the network could not be started again.', {
          cause: thrown,
        });
        if (model.seats.size === 0) this.#queue.rejectAll(model.key, failed);
      },
    );
  }

  /** Gives free slots to waiting windows, then sees to seats for those that could not be served. */
  #dispatch(): void {
    while (this.#running.size < this.#options.workers) {
      const next = this.#queue.next((modelKey) => this.#freeSeat(modelKey) !== undefined);
      if (!next) break;
      const { modelKey, waiter } = next;
      waiter.resolve(this.#grant(this.#models.get(modelKey) as PooledModel, this.#freeSeat(modelKey) as Seat));
    }
    for (const modelKey of this.#queue.modelKeys) {
      const model = this.#models.get(modelKey);
      if (!model) continue;
      if (model.seats.size === 0) this.#reseat(model);
      else if (this.#seating.replicas) this.#grow(model);
    }
  }

  #freeSeat(modelKey: string): Seat | undefined {
    for (const seat of this.#models.get(modelKey)?.seats ?? []) {
      if (this.#windowsOn(seat.child) < this.#seating.windowsPerChild) return seat;
    }
    return undefined;
  }

  #windowsOn(child: SessionChild): number {
    let windows = 0;
    for (const { seat } of this.#running.values()) if (seat.child === child) windows++;
    return windows;
  }

  #grant(model: PooledModel, seat: Seat): SlotGrant {
    const { sessionId, child } = seat;
    const grant: SlotGrant = { grantId: this.#nextGrantId++, socketPath: child.socketPath, sessionId };
    this.#running.set(grant.grantId, { grant, model, seat });
    model.windowStarted(seat);
    return grant;
  }

  #free({ grant, model, seat }: Running): void {
    if (!this.#running.delete(grant.grantId)) return;
    model.windowEnded(seat);
    this.#dispatch();
    const idleMs = this.#options.replicaIdleMs ?? 10_000;
    if (model.seats.size > 1) model.whenSeatIdle(seat, idleMs, () => void this.#vacate(model, seat));
  }

  /** Starts a further replica when slots are free and a window has waited long enough to make it worth while. */
  #grow(model: PooledModel): void {
    const starting = [...this.#models.values()].reduce((sum, { seating }) => sum + seating.size, 0);
    if (this.#running.size + starting >= this.#options.workers) return;
    if (model.seating.size >= this.#queue.waiting(model.key)) return;
    const waitedMs = performance.now() - (this.#queue.oldest(model.key) as number);
    if (waitedMs < growAfterMs) {
      clearTimeout(this.#growTimer);
      this.#growTimer = setTimeout(() => this.#dispatch(), growAfterMs - waitedMs + 1);
      return;
    }
    if (this.#options.mayGrow && !this.#options.mayGrow(model.key, model.peakBytes)) return;
    this.#seat(model, model.closed).catch((thrown: unknown) => {
      const code = thrown instanceof EndpointError ? thrown.code : 'internal';
      if (model.closing) return;
      this.#options.logger.warn({ code }, 'a replica could not be started');
      // The model's other children may have died meanwhile, and left it to this one.
      if (model.seats.size === 0) this.#reseat(model);
    });
  }
}
