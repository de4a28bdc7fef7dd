import { LRUCache } from 'lru-cache';
import { checkTargetModel, modelNameOfTarget } from '../api/target-model.ts';
import { EndpointError, throwIfAborted } from '../errors.ts';
import { type Logger, loggableError } from '../logger.ts';
import type { ArchiveSource, StoredArchive } from './archive-source.ts';
import type { DiskCache } from './disk-cache.ts';
import type { ModelLease } from './model.ts';
import { type ModelEvents, noModelEvents } from './model-events.ts';
import type { Residency } from './residency.ts';
import { settledArchive } from './settled-archive.ts';
import { SharedWork } from './shared-work.ts';

export interface SelfManagedOptions {
  readonly source: ArchiveSource;
  readonly disk: DiskCache;
  readonly residency: Residency;
  /** Age after which the stored version is looked at again. */
  readonly refreshSeconds: number;
  readonly logger: Logger;
  /** Time that running requests of a model have to end when it is unloaded. Default 350 s. */
  readonly unloadWaitMs?: number;
  /** Default: nobody is told. */
  readonly events?: ModelEvents;
  /** Epoch milliseconds. Default: the system's clock. */
  readonly nowMs?: () => number;
}

/** The version of a target that takes new requests. */
interface Current {
  readonly version: string;
  readonly key: string;
  checkedAtMs: number;
}

interface Failure {
  readonly version: string;
  readonly atMs: number;
  readonly error: EndpointError;
}

/** Versions that changed while they were copied are tried again this often. */
const attempts = 3;
const keptFailures = 1_000;

/** The self-managed regime (design §2): models are brought in when a request names them, and make room for others. */
export class SelfManagedModels {
  readonly #options: SelfManagedOptions;
  readonly #nowMs: () => number;
  readonly #current = new Map<string, Current>();
  readonly #failures = new LRUCache<string, Failure>({ max: keptFailures });
  readonly #work = new SharedWork<void>();

  constructor(options: SelfManagedOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /**
   * Pins a model, which is brought in and loaded when it isn't here, or when the store has a new version of it.
   * Requests at the same time share one download and one load.
   *
   * @param target - TargetModel
   * @throws EndpointError `invalid_request`, `model_not_found`, `invalid_archive`, `unsupported_bundle`,
   *   `insufficient_memory`, `upstream_failed`, what a load may fail with; the signal's reason
   */
  async acquire(target: string, signal: AbortSignal): Promise<ModelLease> {
    checkTargetModel(target);
    for (let looked = false; ; looked = true) {
      const current = this.#current.get(target);
      // What was looked at for this very request is fresh, however short the refresh time is.
      const isFresh = current !== undefined && (looked || this.#isFresh(current.checkedAtMs));
      const isReady = isFresh && this.#options.residency.isReady(current.key);
      if (!looked) (this.#options.events ?? noModelEvents).lookedUp('memory', this.isLoaded(target));
      if (isReady) return this.#options.residency.lease(current.key);
      await this.#work.join(target, signal, (workSignal) => this.#bring(target, workSignal));
    }
  }

  /** True while the model is loaded; nothing is brought in for the question. */
  isLoaded(target: string): boolean {
    const current = this.#current.get(checkTargetModel(target));
    return current !== undefined && this.#options.residency.isReady(current.key);
  }

  /**
   * Unloads a model: waits for its running requests, resolves when its memory is back. Nothing to do where it isn't
   * loaded. Its archive stays where it is, so a later request brings it in again.
   *
   * @throws EndpointError `invalid_request`; the signal's reason
   */
  async unload(target: string, signal: AbortSignal): Promise<void> {
    checkTargetModel(target);
    // A load that is under way has its end first: else it would be left loaded.
    const underWay = this.#work.join(target, signal, async () => undefined);
    await underWay.catch(() => throwIfAborted(signal));
    const current = this.#current.get(target);
    if (!current) return;
    this.#current.delete(target);
    await this.#options.residency.unload(current.key, this.#options.unloadWaitMs ?? 350_000);
  }

  #isFresh(atMs: number): boolean {
    return this.#nowMs() - atMs < this.#options.refreshSeconds * 1000;
  }

  /** Makes the stored version the current one, loaded. */
  async #bring(target: string, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#look(target, signal);
      if (!stored) return;
      try {
        await this.#load(target, stored, signal);
        return;
      } catch (thrown) {
        const mayHaveChanged = thrown instanceof EndpointError && thrown.code === 'upstream_failed';
        if (!mayHaveChanged || attempt >= attempts || signal.aborted) throw thrown;
      }
    }
  }

  /** The stored version when it has to be loaded; undefined when the current one serves on. */
  async #look(target: string, signal: AbortSignal): Promise<StoredArchive | undefined> {
    const { source, residency, logger } = this.#options;
    const current = this.#current.get(target);
    const isLoaded = current !== undefined && this.isLoaded(target);
    let stored: StoredArchive | undefined;
    try {
      stored = await settledArchive(source, target, signal, this.#nowMs);
    } catch (thrown) {
      if (!isLoaded || signal.aborted) throw thrown;
      // The store can't be asked: what is loaded serves on until it can.
      logger.warn({ model: modelNameOfTarget(target), error: loggableError(thrown) }, 'model refresh failed');
      this.#keep(current);
      return undefined;
    }
    if (!stored) {
      if (current) residency.retire(current.key);
      this.#current.delete(target);
      residency.forgetFailure(modelNameOfTarget(target));
      throw new EndpointError('model_not_found', `There is no model "${target}".`);
    }
    if (isLoaded && current.version === stored.version) {
      this.#keep(current);
      return undefined;
    }
    const failure = this.#failures.get(target);
    if (failure?.version === stored.version && this.#isFresh(failure.atMs)) throw failure.error;
    return stored;
  }

  async #load(target: string, stored: StoredArchive, signal: AbortSignal): Promise<void> {
    const { disk, residency } = this.#options;
    const old = this.#current.get(target);
    if (old) {
      // Running requests finish on the old version; new ones get the new one or none.
      residency.retire(old.key);
      this.#current.delete(target);
    }
    try {
      const lease = await disk.acquire(target, stored, signal);
      const loaded = await residency.load(modelNameOfTarget(target), lease.bundle, signal, {
        evictable: true,
        onGone: () => lease.release(),
      });
      this.#failures.delete(target);
      this.#current.set(target, { version: stored.version, key: loaded.model.key, checkedAtMs: this.#nowMs() });
      releaseSoon(loaded);
    } catch (thrown) {
      residency.noteFailure(modelNameOfTarget(target), thrown);
      const isLasting =
        thrown instanceof EndpointError && ['invalid_archive', 'unsupported_bundle'].includes(thrown.code);
      if (isLasting) this.#failures.set(target, { version: stored.version, atMs: this.#nowMs(), error: thrown });
      throw thrown;
    }
  }

  /** Marks the current version as looked at, and pins it until those who waited have taken their own leases. */
  #keep(current: Current): void {
    current.checkedAtMs = this.#nowMs();
    releaseSoon(this.#options.residency.lease(current.key));
  }
}

/** Ends a use after those who waited for the model have taken their own. */
function releaseSoon(lease: ModelLease): void {
  setImmediate(() => lease.release());
}
