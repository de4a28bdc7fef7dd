import { LRUCache } from 'lru-cache';
import { checkTargetModel, modelNameOfTarget } from '../api/target-model.ts';
import { EndpointError, throwIfAborted } from '../errors.ts';
import { type Logger, loggableError } from '../logger.ts';
import type { ArchiveSource, StoredArchive } from './archive-source.ts';
import type { DiskCache } from './disk-cache.ts';
import type { ModelLease, PreparedBundle } from './model.ts';
import { type ModelEvents, noModelEvents } from './model-events.ts';
import { nameOfBundle, pickBundle } from './pick-bundle.ts';
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
  /** What the archive holds; where it lies on disk is the disk cache's matter. */
  readonly bundles: readonly Pick<PreparedBundle, 'name'>[];
  /** Keys of the bundles that were loaded, by their name in the archive. */
  readonly keys: Map<string | undefined, string>;
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
  /** The last work on each target: bundles of one archive are brought in one after another. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(options: SelfManagedOptions) {
    this.#options = options;
    this.#nowMs = options.nowMs ?? Date.now;
  }

  /**
   * Pins a model, which is brought in and loaded when it isn't here, or when the store has a new version of it.
   * Requests at the same time share one download and one load.
   *
   * @param target - TargetModel
   * @param wanted - the bundle, where the archive holds several; each is loaded, and leaves, by itself
   * @throws EndpointError `invalid_request`, `model_not_found`, `invalid_archive`, `unsupported_bundle`,
   *   `insufficient_memory`, `upstream_failed`, what a load may fail with; the signal's reason
   */
  async acquire(target: string, signal: AbortSignal, wanted?: string): Promise<ModelLease> {
    checkTargetModel(target);
    for (let looked = false; ; looked = true) {
      const current = this.#current.get(target);
      // What was looked at for this very request is fresh, however short the refresh time is.
      const key = current?.keys.get(nameIn(current.bundles, wanted));
      const isReady = key !== undefined && this.#options.residency.isReady(key);
      if (!looked) (this.#options.events ?? noModelEvents).lookedUp('memory', isReady);
      if (current !== undefined && (looked || this.#isFresh(current.checkedAtMs))) {
        pick(target, current.bundles, wanted); // refuses a bundle that isn't there
        if (isReady) return this.#options.residency.lease(key);
      }
      await this.#work.join(`${target}\n${wanted ?? ''}`, signal, (workSignal) =>
        this.#inTurn(target, () => this.#bring(target, wanted, workSignal)),
      );
    }
  }

  async #inTurn(target: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.#turns.get(target) ?? Promise.resolve()).then(work);
    const over = turn.catch(() => undefined);
    this.#turns.set(target, over);
    try {
      await turn;
    } finally {
      if (this.#turns.get(target) === over) this.#turns.delete(target);
    }
  }

  /** True while the model is loaded; nothing is brought in for the question. */
  isLoaded(target: string): boolean {
    const current = this.#current.get(checkTargetModel(target));
    return [...(current?.keys.values() ?? [])].some((key) => this.#options.residency.isReady(key));
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
    await this.#work.join(`${target}\n\0unload`, signal, () => this.#inTurn(target, async () => undefined));
    const current = this.#current.get(target);
    if (!current) return;
    this.#current.delete(target);
    const waitMs = this.#options.unloadWaitMs ?? 350_000;
    await Promise.all([...current.keys.values()].map((key) => this.#options.residency.unload(key, waitMs)));
  }

  #isFresh(atMs: number): boolean {
    return this.#nowMs() - atMs < this.#options.refreshSeconds * 1000;
  }

  /** Makes the stored version the current one, with the wanted bundle loaded. */
  async #bring(target: string, wanted: string | undefined, signal: AbortSignal): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      const stored = await this.#look(target, wanted, signal);
      if (!stored) return;
      try {
        await this.#load(target, wanted, stored, signal);
        return;
      } catch (thrown) {
        const mayHaveChanged = thrown instanceof EndpointError && thrown.code === 'upstream_failed';
        if (!mayHaveChanged || attempt >= attempts || signal.aborted) throw thrown;
      }
    }
  }

  /** The stored version when it has to be loaded; undefined when the current one serves on. */
  async #look(target: string, wanted: string | undefined, signal: AbortSignal): Promise<StoredArchive | undefined> {
    throwIfAborted(signal); // it may have waited its turn
    const { source, residency, logger } = this.#options;
    const current = this.#current.get(target);
    const key = current?.keys.get(nameIn(current.bundles, wanted));
    const isLoaded = key !== undefined && residency.isReady(key);
    let stored: StoredArchive | undefined;
    try {
      stored = await settledArchive(source, target, signal, this.#nowMs);
    } catch (thrown) {
      if (!isLoaded || signal.aborted) throw thrown;
      // The store can't be asked: what is loaded serves on until it can.
      logger.warn({ model: modelNameOfTarget(target), error: loggableError(thrown) }, 'model refresh failed');
      this.#keep(current as Current, key);
      return undefined;
    }
    if (!stored) {
      this.#retire(current);
      this.#current.delete(target);
      residency.forgetFailure(modelNameOfTarget(target));
      throw new EndpointError('model_not_found', `There is no model "${target}".`);
    }
    if (isLoaded && current?.version === stored.version) {
      this.#keep(current, key);
      return undefined;
    }
    for (const failed of [target, failureKey(target, wanted)]) {
      const failure = this.#failures.get(failed);
      if (failure?.version === stored.version && this.#isFresh(failure.atMs)) throw failure.error;
    }
    return stored;
  }

  async #load(target: string, wanted: string | undefined, stored: StoredArchive, signal: AbortSignal): Promise<void> {
    const { disk, residency } = this.#options;
    const old = this.#current.get(target);
    if (old && old.version !== stored.version) {
      // Running requests finish on the old version; new ones get the new one or none.
      this.#retire(old);
      this.#current.delete(target);
    }
    const lease = await this.#notingFailure(target, stored, () => disk.acquire(target, stored, signal));
    let current = this.#current.get(target);
    if (!current) {
      current = { version: stored.version, bundles: lease.bundles, keys: new Map(), checkedAtMs: this.#nowMs() };
      this.#current.set(target, current);
    }
    current.checkedAtMs = this.#nowMs();
    const { keys } = current;
    let bundle: PreparedBundle;
    try {
      bundle = pick(target, lease.bundles, wanted);
    } catch (thrown) {
      lease.release();
      throw thrown;
    }
    const loaded = await this.#notingFailure(failureKey(target, wanted), stored, () =>
      residency.load(nameOfBundle(modelNameOfTarget(target), bundle), bundle, signal, {
        evictable: true,
        onGone: () => lease.release(),
      }),
    );
    keys.set(bundle.name, loaded.model.key);
    current.checkedAtMs = this.#nowMs();
    releaseSoon(loaded);
  }

  /** Remembers a failure that will come again as long as the stored version is the same. */
  async #notingFailure<T>(failing: string, stored: StoredArchive, work: () => Promise<T>): Promise<T> {
    try {
      const result = await work();
      this.#failures.delete(failing);
      return result;
    } catch (thrown) {
      const [target] = failing.split('\n') as [string];
      this.#options.residency.noteFailure(modelNameOfTarget(target), thrown);
      const isLasting =
        thrown instanceof EndpointError && ['invalid_archive', 'unsupported_bundle'].includes(thrown.code);
      if (isLasting) this.#failures.set(failing, { version: stored.version, atMs: this.#nowMs(), error: thrown });
      throw thrown;
    }
  }

  #retire(current: Current | undefined): void {
    for (const key of current?.keys.values() ?? []) this.#options.residency.retire(key);
  }

  /** Marks the current version as looked at, and pins it until those who waited have taken their own leases. */
  #keep(current: Current, key: string): void {
    current.checkedAtMs = this.#nowMs();
    releaseSoon(this.#options.residency.lease(key));
  }
}

const failureKey = (target: string, wanted: string | undefined): string => `${target}\n${wanted ?? ''}`;

const pick = <T extends Pick<PreparedBundle, 'name'>>(
  target: string,
  bundles: readonly T[],
  wanted: string | undefined,
): T => pickBundle(bundles, wanted, { archive: modelNameOfTarget(target) });

/** Name in the archive of what is wanted: where there is but one bundle, it goes without. */
const nameIn = (bundles: Current['bundles'], wanted: string | undefined): string | undefined =>
  bundles.length === 1 ? bundles[0]?.name : wanted;

/** Ends a use after those who waited for the model have taken their own. */
function releaseSoon(lease: ModelLease): void {
  setImmediate(() => lease.release());
}
