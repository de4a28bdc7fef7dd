import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LRUCache } from 'lru-cache';
import { modelNameOfTarget } from '../api/target-model.ts';
import type { TreeFile } from '../archive/digest.ts';
import { readTree } from '../archive/tree.ts';
import { unpackArchive } from '../archive/unpack.ts';
import { asEndpointError, EndpointError, type ErrorCode } from '../errors.ts';
import type { ArchiveSource, StoredArchive } from './archive-source.ts';
import type { PreparedBundle } from './model.ts';
import { type ModelEvents, noModelEvents } from './model-events.ts';
import { type BundleRules, prepareFiles } from './prepare-bundle.ts';

export interface DiskCacheOptions {
  /** Folder of this process alone; made when it is missing. */
  readonly dir: string;
  readonly budgetBytes: number;
  readonly source: ArchiveSource;
  readonly rules: BundleRules;
  /** Default: nobody is told. */
  readonly events?: ModelEvents;
}

/** An unpacked model that stays on disk until `release`. */
export interface DiskLease {
  /** The one bundle of the archive, or those under its `bundles/`. */
  readonly bundles: readonly PreparedBundle[];
  release(): void;
}

interface Unpacked {
  readonly slotDir: string;
  readonly sizeBytes: number;
  readonly bundles: readonly PreparedBundle[];
  removed: boolean;
}

interface Wanted {
  readonly target: string;
  readonly stored: StoredArchive;
  readonly signal: AbortSignal;
}

/** Unpacked models on disk, least recently used ones leaving first; those of loaded models are pinned. */
export class DiskCache {
  readonly #options: DiskCacheOptions;
  /** Models that no loaded model needs. Pinned ones are kept outside its size. */
  readonly #idle: LRUCache<string, Unpacked, Wanted>;
  readonly #pinned = new Map<string, { readonly unpacked: Unpacked; uses: number }>();
  readonly #removals = new Set<Promise<void>>();
  #nextSlot = 1;

  constructor(options: DiskCacheOptions) {
    this.#options = options;
    this.#idle = new LRUCache<string, Unpacked, Wanted>({
      maxSize: options.budgetBytes,
      sizeCalculation: ({ sizeBytes }) => Math.max(1, sizeBytes),
      fetchMethod: async (_key, _stale, { context }) => await this.#fetch(context),
      // To evict another model must not end a download; whoever wants it has a signal of its own.
      ignoreFetchAbort: true,
      dispose: (unpacked, _key, reason) => {
        if (reason === 'evict') this.#remove(unpacked);
      },
    });
  }

  get #events(): ModelEvents {
    return this.#options.events ?? noModelEvents;
  }

  /** Bytes of all unpacked models on disk. */
  get usedBytes(): number {
    let bytes = this.#idle.calculatedSize;
    for (const { unpacked } of this.#pinned.values()) bytes += unpacked.sizeBytes;
    return bytes;
  }

  /**
   * An unpacked, checked model, downloaded when this version isn't here. Not to be called twice at once for one
   * target.
   *
   * @throws EndpointError `model_not_found`, `invalid_archive`, `unsupported_bundle`, `upstream_failed`; the signal's
   *   reason
   */
  async acquire(target: string, stored: StoredArchive, signal: AbortSignal): Promise<DiskLease> {
    const key = `${target}\n${stored.kind}\n${stored.version}`;
    const pinned = this.#pinned.get(key);
    this.#events.lookedUp('disk', pinned !== undefined || this.#idle.has(key));
    if (pinned) {
      pinned.uses++;
      return this.#leaseOf(key, pinned.unpacked);
    }
    const unpacked = await this.#idle.forceFetch(key, { context: { target, stored, signal } });
    if (unpacked.removed) return await this.acquire(target, stored, signal); // evicted before it could be pinned
    this.#idle.delete(key); // pinned: out of the LRU, but not off the disk
    this.#pinned.set(key, { unpacked, uses: 1 });
    this.#trim();
    return this.#leaseOf(key, unpacked);
  }

  /** Removes everything. */
  async close(): Promise<void> {
    this.#idle.clear();
    await Promise.all(this.#removals);
    await rm(this.#options.dir, { recursive: true, force: true });
  }

  #leaseOf(key: string, unpacked: Unpacked): DiskLease {
    let released = false;
    return {
      bundles: unpacked.bundles,
      release: () => {
        if (released) return;
        released = true;
        this.#unpin(key);
      },
    };
  }

  #unpin(key: string): void {
    const pinned = this.#pinned.get(key);
    if (!pinned || --pinned.uses > 0) return;
    this.#pinned.delete(key);
    this.#idle.set(key, pinned.unpacked);
    if (!this.#idle.has(key)) this.#remove(pinned.unpacked); // bigger than the whole budget
    this.#trim();
  }

  #trim(extraBytes = 0): void {
    while (this.usedBytes + extraBytes > this.#options.budgetBytes && this.#idle.pop());
  }

  #remove(unpacked: Unpacked): void {
    unpacked.removed = true;
    const removal = rm(unpacked.slotDir, { recursive: true, force: true }).catch(() => undefined);
    this.#removals.add(removal);
    void removal.finally(() => this.#removals.delete(removal));
  }

  async #fetch({ target, stored, signal }: Wanted): Promise<Unpacked> {
    const { dir, rules, budgetBytes } = this.#options;
    if (stored.sizeBytes > Math.min(budgetBytes, rules.maxBytes)) {
      const message = `The model has ${stored.sizeBytes} bytes; DISK_BUDGET_BYTES and MAX_ARCHIVE_BYTES must allow it.`;
      throw new EndpointError('invalid_archive', message);
    }
    this.#trim(stored.sizeBytes);
    const slotDir = join(dir, `${this.#nextSlot++}`);
    try {
      await mkdir(slotDir, { recursive: true, mode: 0o700 });
      const files = await this.#bring(target, stored, slotDir, signal);
      const bundles = await prepareFiles(join(slotDir, 'model'), files, rules, signal);
      const sizeBytes = files.reduce((sum, file) => sum + file.sizeBytes, 0);
      return { slotDir, bundles, sizeBytes, removed: false };
    } catch (thrown) {
      await rm(slotDir, { recursive: true, force: true });
      throw thrown;
    }
  }

  async #bring(target: string, stored: StoredArchive, slotDir: string, signal: AbortSignal): Promise<TreeFile[]> {
    const { rules } = this.#options;
    const modelDir = join(slotDir, 'model');
    if (stored.kind === 'directory') {
      await this.#download(target, stored, modelDir, signal);
      return await readTree(modelDir, rules, signal);
    }
    const archivePath = join(slotDir, 'archive.tar.gz');
    await this.#download(target, stored, archivePath, signal);
    const files = await unpackArchive(archivePath, modelDir, rules, signal);
    await rm(archivePath);
    return files;
  }

  async #download(target: string, stored: StoredArchive, toPath: string, signal: AbortSignal): Promise<void> {
    const startedAt = performance.now();
    const tell = (outcome: 'ok' | ErrorCode): void =>
      this.#events.downloaded(modelNameOfTarget(target), outcome, (performance.now() - startedAt) / 1000);
    try {
      await this.#options.source.download(target, stored, toPath, signal);
    } catch (thrown) {
      tell(asEndpointError(thrown).code);
      throw thrown;
    }
    tell('ok');
  }
}
