import { setImmediate as nextTurn } from 'node:timers/promises';
import { LRUCache } from 'lru-cache';
import { asEndpointError, EndpointError, type ErrorCode, throwIfAborted } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Device } from '../sessions/device.ts';
import type { MemoryEstimates } from './memory-estimates.ts';
import type { LoadedModel, ModelLease, ModelLoader, ModelState, ModelStatus, PreparedBundle } from './model.ts';
import { type ModelEvents, noModelEvents } from './model-events.ts';

export interface ResidencyOptions {
  readonly device: Device;
  readonly loader: ModelLoader;
  readonly estimates: MemoryEstimates;
  readonly logger: Logger;
  /** Default: nobody is told. */
  readonly events?: ModelEvents;
}

export interface LoadOptions {
  /** Whether idle models may be unloaded to make room, and this one later for others (self-managed). */
  readonly evictable: boolean;
  /** Called once when nothing of this load is left, also when it failed. */
  readonly onGone?: () => void;
}

interface Resident {
  readonly key: string;
  readonly name: string;
  readonly bundle: PreparedBundle;
  readonly options: LoadOptions;
  state: ModelState;
  model: LoadedModel | undefined;
  sizeBytes: number;
  leases: number;
  /** No new uses; it goes with the last one. */
  retired: boolean;
  /** Resolves when the load is over, however it went. */
  loadOver: Promise<void>;
  unloaded: Promise<void> | undefined;
  onIdle: (() => void)[];
}

const keptFailures = 100;

/**
 * Which models are in a device's memory. Memory is set aside before anything is spawned; models in use are pinned;
 * idle ones that may go do so least recently used first. Sizes are measured, and raised with each new peak.
 */
export class Residency {
  readonly #options: ResidencyOptions;
  readonly #residents = new Map<string, Resident>();
  /** Idle models that may be evicted. Models in use, loading, or loaded for SageMaker are kept outside its size. */
  readonly #idle: LRUCache<string, Resident>;
  readonly #failures = new LRUCache<string, ErrorCode>({ max: keptFailures });
  #lastAdmission: Promise<unknown> = Promise.resolve();
  #nextKey = 1;
  #evictions = 0;

  constructor(options: ResidencyOptions) {
    this.#options = options;
    this.#idle = new LRUCache<string, Resident>({
      maxSize: options.device.budgetBytes,
      sizeCalculation: (resident) => Math.max(1, resident.sizeBytes),
      dispose: (resident, _key, reason) => {
        if (reason !== 'evict') return;
        this.#evictions++;
        void this.#unload(resident);
      },
    });
  }

  /** Models that were unloaded to make room, since the start. */
  get evictions(): number {
    return this.#evictions;
  }

  /**
   * Loads a bundle and pins it, so that it can't be evicted before its first use. On failure nothing of it stays.
   *
   * @param name - of the model, for its users
   * @throws EndpointError `insufficient_memory`; what the loader throws; the signal's reason
   */
  async load(name: string, bundle: PreparedBundle, signal: AbortSignal, options: LoadOptions): Promise<ModelLease> {
    const events = this.#options.events ?? noModelEvents;
    const startedAt = performance.now();
    const secondsSoFar = (): number => (performance.now() - startedAt) / 1000;
    const key = `${name}#${bundle.digest.slice(0, 12)}#${this.#nextKey++}`;
    const resident: Resident = {
      key,
      name,
      bundle,
      options,
      state: 'LOADING',
      model: undefined,
      sizeBytes: this.#options.estimates.estimateBytes(bundle.digest, bundle.onnxBytes),
      leases: 0,
      retired: false,
      loadOver: Promise.resolve(),
      unloaded: undefined,
      onIdle: [],
    };
    try {
      await this.#admit(resident, signal);
      const loading = this.#loadNow(resident, signal);
      resident.loadOver = loading.catch(() => undefined);
      await loading;
    } catch (thrown) {
      this.noteFailure(name, thrown);
      events.loaded(name, asEndpointError(thrown).code, secondsSoFar());
      options.onGone?.();
      throw thrown;
    }
    events.loaded(name, 'ok', secondsSoFar());
    this.#failures.delete(name);
    this.#options.logger.info({ model: name, sizeBytes: resident.sizeBytes }, 'model loaded');
    return this.#leaseOf(resident);
  }

  /** Remembers why a model could not be loaded, also where it failed before any memory was asked for. */
  noteFailure(name: string, thrown: unknown): void {
    this.#failures.set(name, asEndpointError(thrown).code);
  }

  /** True while new uses of the model can begin. */
  isReady(key: string): boolean {
    const resident = this.#residents.get(key);
    return resident?.state === 'READY' && !resident.retired;
  }

  /** Pins a model. Throws EndpointError `model_not_found` when it takes no new uses. */
  lease(key: string): ModelLease {
    const resident = this.#residents.get(key);
    if (!resident?.model || resident.state !== 'READY' || resident.retired) {
      throw new EndpointError('model_not_found', 'The model is not loaded.');
    }
    return this.#leaseOf(resident);
  }

  #leaseOf(resident: Resident): ModelLease {
    resident.leases++;
    this.#idle.delete(resident.key);
    let released = false;
    return {
      model: resident.model as LoadedModel,
      release: () => {
        if (released) return;
        released = true;
        resident.leases--;
        this.#measure(resident);
        if (resident.leases === 0) this.#becameIdle(resident);
      },
    };
  }

  /** Takes no new uses of a model; it is unloaded with its last one. */
  retire(key: string): void {
    const resident = this.#residents.get(key);
    if (!resident) return;
    resident.retired = true;
    this.#idle.delete(key);
    if (resident.leases === 0 && resident.state === 'READY') void this.#unload(resident);
  }

  /**
   * Unloads a model: waits for its uses to end, at most `waitMs`. Resolves when its memory is back.
   */
  async unload(key: string, waitMs: number): Promise<void> {
    const resident = this.#residents.get(key);
    if (!resident) return;
    resident.retired = true;
    this.#idle.delete(key);
    if (resident.state === 'READY') resident.state = 'UNLOADING';
    await whenIdle(resident, waitMs);
    await this.#unload(resident);
  }

  /** True when this many bytes more fit without unloading anything. */
  hasRoomFor(bytes: number): boolean {
    return this.#ledgerBytes() + bytes <= this.#options.device.budgetBytes;
  }

  /** What models hold or have set aside, in bytes; those that are being unloaded count until they are gone. */
  get heldBytes(): number {
    return this.#ledgerBytes();
  }

  /** Unloads idle models that may go, least recently used first, until no more than this is held by the others. */
  shrinkIdle(toBytes: number): void {
    while (this.#ledgerBytes() - this.#unloadingBytes() > toBytes && this.#idle.pop());
  }

  /** A model that is not there any more has not failed either. */
  forgetFailure(name: string): void {
    this.#failures.delete(name);
  }

  /** Models with their states; failed ones are remembered for a while. */
  status(): ModelStatus[] {
    const live = [...this.#residents.values()].map(({ name, state, sizeBytes }) => ({ name, state, sizeBytes }));
    const failed = [...this.#failures.entries()].map(
      ([name, reason]): ModelStatus => ({ name, state: 'FAILED', reason, sizeBytes: 0 }),
    );
    return [...live, ...failed.filter(({ name }) => !live.some((other) => other.name === name))];
  }

  /** Sets memory aside for a resident, one after another, so that two loads can't take the same room. */
  #admit(resident: Resident, signal: AbortSignal): Promise<void> {
    const admission = this.#lastAdmission.then(() => this.#makeRoom(resident, signal));
    this.#lastAdmission = admission.catch(() => undefined);
    return admission;
  }

  async #makeRoom(resident: Resident, signal: AbortSignal): Promise<void> {
    const { device } = this.#options;
    const needBytes = resident.sizeBytes;
    if (needBytes > device.budgetBytes) {
      throw outOfMemory(`It needs ${needBytes} bytes; the budget of ${device.id} is ${device.budgetBytes}.`);
    }
    for (let turns = 0; ; ) {
      throwIfAborted(signal);
      for (const other of this.#residents.values()) if (other.state === 'READY') this.#measure(other);
      // Noted before the device is asked: what it gives back meanwhile would not be in the answer.
      const residents = [...this.#residents.values()];
      const unloading = residents.flatMap(({ unloaded }) => unloaded ?? []);
      const loading = residents.flatMap(({ state, loadOver }) => (state === 'LOADING' ? loadOver : []));
      const measuredBytes = await device.usedBytes();
      if (this.#usedBytes(measuredBytes) + needBytes <= device.budgetBytes) break;
      if (unloading.length === 0 && resident.options.evictable && this.#idle.pop() !== undefined) continue;
      // A load that is under way may need less than was set aside for it, or fail.
      const changes = unloading.length > 0 ? unloading : loading;
      if (changes.length === 0 && turns++ < 2) {
        await nextTurn(); // a model that was just loaded is pinned until those who asked for it have come
      } else if (changes.length === 0) {
        const reason = resident.options.evictable ? 'all loaded models are in use' : 'other models hold the rest';
        throw outOfMemory(`It needs ${needBytes} bytes of the ${device.budgetBytes} of ${device.id}; ${reason}.`);
      } else {
        await firstOf(changes, signal);
      }
    }
    this.#residents.set(resident.key, resident);
  }

  async #loadNow(resident: Resident, signal: AbortSignal): Promise<void> {
    const { key, name, bundle } = resident;
    const base = { key, name, dir: bundle.dir, digest: bundle.digest };
    try {
      const { signature } = await this.#options.loader.load(base, signal);
      throwIfAborted(signal);
      resident.model = { ...base, signature };
    } catch (thrown) {
      await this.#options.loader.unload(key);
      this.#residents.delete(key);
      throw thrown;
    }
    this.#failures.delete(name);
    resident.state = 'READY';
    this.#measure(resident);
  }

  /** What is set aside or held; or what the device says is in use, where others use it too. */
  #usedBytes(measuredBytes: number): number {
    let expectedBytes = 0; // set aside, and not taken yet
    for (const { key, state, sizeBytes } of this.#residents.values()) {
      if (state === 'LOADING') expectedBytes += Math.max(0, sizeBytes - this.#options.loader.usedBytes(key));
    }
    return Math.max(this.#ledgerBytes(), measuredBytes + expectedBytes);
  }

  #ledgerBytes(): number {
    let bytes = 0;
    for (const { sizeBytes } of this.#residents.values()) bytes += sizeBytes;
    return bytes;
  }

  #measure(resident: Resident): void {
    const { loader, estimates } = this.#options;
    const usedBytes = loader.usedBytes(resident.key);
    if (usedBytes > 0) resident.sizeBytes = usedBytes;
    estimates.record(resident.bundle.digest, loader.peakBytes(resident.key));
  }

  #becameIdle(resident: Resident): void {
    for (const tell of resident.onIdle.splice(0)) tell();
    if (resident.state !== 'READY') return;
    if (resident.retired) {
      void this.#unload(resident);
      return;
    }
    if (!resident.options.evictable) return;
    this.#idle.set(resident.key, resident);
    // Models in use count too, and a new peak may have taken more than was set aside.
    while (this.#ledgerBytes() - this.#unloadingBytes() > this.#options.device.budgetBytes && this.#idle.pop());
    // A model that has outgrown the whole budget isn't kept by the LRU at all.
    if (!this.#idle.has(resident.key) && !resident.unloaded) void this.#unload(resident);
  }

  #unloadingBytes(): number {
    let bytes = 0;
    for (const { unloaded, sizeBytes } of this.#residents.values()) if (unloaded) bytes += sizeBytes;
    return bytes;
  }

  #unload(resident: Resident): Promise<void> {
    resident.unloaded ??= this.#unloadNow(resident);
    return resident.unloaded;
  }

  async #unloadNow(resident: Resident): Promise<void> {
    this.#measure(resident);
    resident.state = 'UNLOADING';
    await this.#options.loader.unload(resident.key);
    this.#residents.delete(resident.key);
    this.#options.logger.info({ model: resident.name }, 'model unloaded');
    resident.options.onGone?.();
  }
}

/** Resolves when the resident has no use left, at the latest after `waitMs`. */
function whenIdle(resident: Resident, waitMs: number): Promise<void> {
  if (resident.leases === 0) return Promise.resolve();
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, waitMs);
    resident.onIdle.push(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Resolves when one of them does, or the signal aborts. */
function firstOf(changes: readonly Promise<void>[], signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done, { once: true });
    for (const change of changes) void change.then(done);
  });
}

const outOfMemory = (why: string): EndpointError =>
  new EndpointError('insufficient_memory', `The model does not fit in memory now. ${why}`);
