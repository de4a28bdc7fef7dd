import { createHash } from 'node:crypto';
import { copyFile, mkdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { x as extract } from 'tar';

/** What the simulator drives: any server with SageMaker's multi-model container API. */
export interface SimulatorOptions {
  readonly url: string;
  /** Folder with the archives; a TargetModel is a path in it. */
  readonly archivesDir: string;
  /** Folder under which the container looks for models: `/opt/ml/models`, or what stands for it. */
  readonly modelsRoot: string;
  /** Models that are kept loaded at most, whatever the server would take. Default: as many as it takes. */
  readonly room?: number;
}

/** One answered invocation. */
export interface Invoked {
  readonly status: number;
  readonly body: Buffer;
  /** Whether the model was loaded when the request came. */
  readonly hit: boolean;
  readonly ms: number;
}

/** What happened behind the invocations. */
export interface SimulatorCounts {
  loads: number;
  unloads: number;
  /** Loads and invocations that were told 507. */
  noRoom: number;
  /** Invocations of a model that the container should have had, and had not. */
  lost: number;
}

interface Entry {
  readonly target: string;
  /** SageMaker names models by a hash that says nothing. */
  readonly name: string;
  loading: Promise<void> | undefined;
  unloading: Promise<void> | undefined;
  isLoaded: boolean;
  /** Whether it counts among those that there is room for: from before its load to the end of its unload. */
  hasPlace: boolean;
  users: number;
  lastUse: number;
}

/** SageMaker gives up on a load after six minutes; a test should not wait that long. */
const giveUpMs = 60_000;

/**
 * SageMaker's side of a multi-model endpoint (field-facts §2.2): brings an archive, unpacks it under the models' folder,
 * loads it at its first use, unloads the least recently used others when it is told 507, and invokes through
 * `/models/{hash}/invoke`. Nothing of it knows which server it talks to.
 */
export class SageMakerSimulator {
  readonly counts: SimulatorCounts = { loads: 0, unloads: 0, noRoom: 0, lost: 0 };
  readonly #options: SimulatorOptions;
  readonly #entries = new Map<string, Entry>();
  #clock = 0;

  constructor(options: SimulatorOptions) {
    this.#options = options;
  }

  /** Names of the models that are loaded now, as the simulator believes. */
  get loaded(): string[] {
    return [...this.#entries.values()].filter(({ isLoaded }) => isLoaded).map(({ target }) => target);
  }

  /** Invokes a model as `InvokeEndpoint` with `TargetModel` would. */
  async invoke(target: string, body: Uint8Array | string, headers: Record<string, string>): Promise<Invoked> {
    const startedAt = performance.now();
    const entry = this.#entryOf(target);
    const hit = entry.isLoaded;
    entry.users++;
    try {
      for (;;) {
        await this.#load(entry);
        const response = await fetch(`${this.#options.url}/models/${entry.name}/invoke`, {
          method: 'POST',
          headers: { ...headers, 'x-amzn-sagemaker-target-model': target },
          body: body as NonNullable<RequestInit['body']>,
        });
        const answer = Buffer.from(await response.arrayBuffer());
        if (response.status === 404) {
          this.counts.lost++;
          entry.isLoaded = false;
        } else if (response.status === 507) {
          this.counts.noRoom++;
          await this.#makeRoom(entry);
        } else {
          return { status: response.status, body: answer, hit, ms: performance.now() - startedAt };
        }
        if (performance.now() - startedAt > giveUpMs) throw new Error(`${target} could not be invoked`);
      }
    } finally {
      entry.users--;
      entry.lastUse = ++this.#clock;
    }
  }

  /** Unloads everything. */
  async close(): Promise<void> {
    for (const entry of this.#entries.values()) if (entry.isLoaded) await this.#unload(entry);
    await Promise.all(
      [...this.#entries.values()].map(({ name }) => rm(this.#dirOf(name), { recursive: true, force: true })),
    );
  }

  #entryOf(target: string): Entry {
    const known = this.#entries.get(target);
    if (known) return known;
    const name = createHash('sha256').update(target).digest('hex').slice(0, 32);
    const entry: Entry = {
      target,
      name,
      loading: undefined,
      unloading: undefined,
      isLoaded: false,
      hasPlace: false,
      users: 0,
      lastUse: 0,
    };
    this.#entries.set(target, entry);
    return entry;
  }

  #dirOf(name: string): string {
    return join(this.#options.modelsRoot, name);
  }

  async #load(entry: Entry): Promise<void> {
    await entry.unloading;
    if (entry.isLoaded) return;
    entry.loading ??= this.#loadNow(entry).finally(() => {
      entry.loading = undefined;
    });
    await entry.loading;
  }

  async #loadNow(entry: Entry): Promise<void> {
    const dir = join(this.#dirOf(entry.name), 'model');
    if (!(await stat(dir).catch(() => undefined))) {
      await mkdir(dir, { recursive: true });
      const archive = join(this.#dirOf(entry.name), 'model.tar.gz');
      await copyFile(join(this.#options.archivesDir, entry.target), archive);
      await extract({ file: archive, cwd: dir });
      await rm(archive);
    }
    for (const startedAt = performance.now(); performance.now() - startedAt < giveUpMs; ) {
      if (!this.#takePlace(entry)) {
        await this.#makeRoom(entry);
        continue;
      }
      const response = await fetch(`${this.#options.url}/models`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'x-amzn-sagemaker-target-model': entry.target },
        body: JSON.stringify({ model_name: entry.name, url: dir }),
      });
      const text = await response.text();
      if (response.status === 200 || response.status === 409) {
        this.counts.loads++;
        entry.isLoaded = true;
        return;
      }
      if (response.status !== 507) throw new Error(`loading ${entry.target} gave ${response.status}: ${text}`);
      this.counts.noRoom++;
      await this.#makeRoom(entry);
    }
    throw new Error(`${entry.target} could not be loaded`);
  }

  /** False when all places are taken by others. */
  #takePlace(entry: Entry): boolean {
    if (entry.hasPlace) return true;
    const taken = [...this.#entries.values()].filter(({ hasPlace }) => hasPlace).length;
    entry.hasPlace = taken < (this.#options.room ?? Infinity);
    return entry.hasPlace;
  }

  /** Unloads the least recently used other model that nobody uses; waits a moment where there is none. */
  async #makeRoom(wanting: Entry): Promise<void> {
    const [victim] = [...this.#entries.values()]
      .filter((entry) => entry !== wanting && entry.isLoaded && !entry.unloading && entry.users === 0)
      .sort((a, b) => a.lastUse - b.lastUse);
    if (victim) await this.#unload(victim);
    else await sleep(10);
  }

  async #unload(entry: Entry): Promise<void> {
    entry.isLoaded = false;
    entry.unloading = (async () => {
      const response = await fetch(`${this.#options.url}/models/${entry.name}`, { method: 'DELETE' });
      await response.arrayBuffer();
      if (response.status !== 200) throw new Error(`unloading ${entry.target} gave ${response.status}`);
      this.counts.unloads++;
    })().finally(() => {
      entry.unloading = undefined;
      entry.hasPlace = false;
    });
    await entry.unloading;
  }
}
