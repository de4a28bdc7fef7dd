import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FromStore, StoreSettings } from '../src/store-process.ts';
import { importFolder } from './bench-endpoint.ts';

/** The embedded store's process by itself, as pipeline processes call it: without the front's proxy. */
export class BenchStore {
  readonly root = mkdtempSync(join(tmpdir(), 'map-endpoint-bench-'));
  readonly files = join(this.root, 'files');
  #child: ChildProcess | undefined;
  #url = '';

  get url(): string {
    return this.#url;
  }

  async start(): Promise<this> {
    mkdirSync(this.files);
    const child = fork(fileURLToPath(new URL('../dist/store-main.js', import.meta.url)), [], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child = child;
    const settings: StoreSettings = {
      dataDir: join(this.root, 'store'),
      port: 0,
      allowedUris: [this.files],
      threads: 2,
      logLevel: 'error',
    };
    child.send(settings);
    const [answer] = (await once(child, 'message')) as [FromStore];
    if (answer.type !== 'ready') throw new Error('the store did not start');
    this.#url = answer.url;
    return this;
  }

  /** Imports a folder under {@link files}; gives the one image set made. */
  importFolder = (dir: string) => importFolder(dir, this.#url);

  async stop(): Promise<void> {
    if (this.#child?.connected) {
      this.#child.disconnect();
      await once(this.#child, 'exit');
    }
    rmSync(this.root, { recursive: true, force: true });
  }
}
