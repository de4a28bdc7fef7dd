import { mkdirSync, writeFileSync } from 'node:fs';
import { setImmediate as tick } from 'node:timers/promises';
import { abortError, EndpointError } from '../../src/errors.ts';
import { createLogger } from '../../src/logger.ts';
import type { ArchiveSource, StoredArchive } from '../../src/model-cache/archive-source.ts';
import { MemoryEstimates } from '../../src/model-cache/memory-estimates.ts';
import type { LoadedModel, ModelLoader, PreparedBundle } from '../../src/model-cache/model.ts';
import { Residency } from '../../src/model-cache/residency.ts';
import { bundleFiles, entriesOf, tarGz, writeTree } from './archives.ts';
import { FakeDevice } from './device-contract.ts';

const mebibyte = 1024 * 1024;

/** A loader without processes: it keeps account of what is loaded, and fails or waits when told to. */
export class FakeLoader implements ModelLoader {
  readonly held = new Map<string, number>();
  readonly loads: string[] = [];
  readonly unloads: string[] = [];
  /** Memory that a model takes once loaded, by name. */
  readonly bytesOf = new Map<string, number>();
  /** The next loads fail with these. */
  readonly failures: Error[] = [];
  /** Loads wait for this. */
  gate: Promise<void> = Promise.resolve();
  /** Unloads wait for this: the memory is not back yet. */
  unloadGate: Promise<void> = Promise.resolve();
  mostHeldBytes = 0;

  async load(model: Omit<LoadedModel, 'signature'>, signal: AbortSignal) {
    this.loads.push(model.name);
    this.held.set(model.key, this.bytesOf.get(model.name) ?? 60 * mebibyte);
    this.mostHeldBytes = Math.max(this.mostHeldBytes, this.heldBytes);
    await untilAborted(this.gate, signal);
    await tick();
    const failure = this.failures.shift();
    if (failure) throw failure;
    if (signal.aborted) throw abortError(signal);
    return { signature: { inputs: [], outputs: [] } };
  }

  async unload(key: string): Promise<void> {
    await this.unloadGate;
    if (this.held.delete(key)) this.unloads.push(key.split('#')[0] as string);
  }

  usedBytes(key: string): number {
    return this.held.get(key) ?? 0;
  }

  peakBytes(key: string): number {
    return this.held.get(key) ?? 0;
  }

  get heldBytes(): number {
    return [...this.held.values()].reduce((sum, bytes) => sum + bytes, 0);
  }
}

export function fakeResidency(budgetBytes: number): { residency: Residency; loader: FakeLoader; device: FakeDevice } {
  const loader = new FakeLoader();
  const device = new FakeDevice(budgetBytes);
  const logger = createLogger('front', 'silent');
  return {
    loader,
    device,
    residency: new Residency({ device, loader, estimates: new MemoryEstimates('cpu'), logger }),
  };
}

/** A bundle that is said to be on disk; its estimate is `sizeBytes` (at least 100 MiB). */
export function fakeBundle(name: string, sizeBytes: number): PreparedBundle {
  return {
    name: undefined,
    dir: `/nowhere/${name}`,
    digest: `digest-of-${name}`,
    onnxBytes: Math.max(0, (sizeBytes - 100 * mebibyte) / 5),
  };
}

interface Stored {
  version: string;
  bytes: Buffer | undefined;
  modifiedAtMs?: number;
}

/** A place of models in memory. */
export class FakeSource implements ArchiveSource {
  readonly stored = new Map<string, Stored>();
  heads = 0;
  downloads = 0;
  headFailure: Error | undefined;
  /** Downloads wait for this. */
  gate: Promise<void> = Promise.resolve();
  /** Called when a download begins. */
  onDownload: (target: string) => void = () => undefined;

  /** Puts an identity bundle of a version under a target. */
  put(target: string, version: string, bytes = tarGz(entriesOf(bundleFiles(version)))): void {
    this.stored.set(target, { version, bytes });
  }

  /** Puts an unpacked bundle in place of the archive. */
  putDirectory(target: string, version: string): void {
    this.stored.set(target, { version, bytes: undefined });
  }

  async head(target: string, signal: AbortSignal): Promise<StoredArchive | undefined> {
    this.heads++;
    await tick();
    if (signal.aborted) throw abortError(signal);
    if (this.headFailure) throw this.headFailure;
    const stored = this.stored.get(target);
    if (!stored) return undefined;
    const { version, bytes, modifiedAtMs } = stored;
    const kind = bytes ? 'archive' : 'directory';
    return { kind, version, sizeBytes: bytes?.length ?? 1000, ...(modifiedAtMs === undefined ? {} : { modifiedAtMs }) };
  }

  async download(target: string, { version }: StoredArchive, toPath: string, signal: AbortSignal): Promise<void> {
    this.downloads++;
    this.onDownload(target);
    await untilAborted(this.gate, signal);
    if (signal.aborted) throw abortError(signal);
    const stored = this.stored.get(target);
    if (!stored) throw new EndpointError('model_not_found', 'gone');
    if (stored.version !== version) throw new EndpointError('upstream_failed', 'it changed under the copy');
    if (stored.bytes) {
      writeFileSync(toPath, stored.bytes);
    } else {
      mkdirSync(toPath);
      writeTree(toPath, bundleFiles(version));
    }
  }
}

/** Resolves with the gate, or when the signal aborts. */
function untilAborted(open: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      signal.removeEventListener('abort', done);
      resolve();
    };
    signal.addEventListener('abort', done, { once: true });
    void open.then(done);
  });
}

/** A promise that a test opens. */
export function gate(): { readonly closed: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const closed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { closed, open: () => open() };
}
