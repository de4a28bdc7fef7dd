import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../dist/cli/map-endpoint.js', import.meta.url));

/** Runs a command of the CLI with `--json` and gives its answer. */
export const runCli = (...args: string[]): unknown =>
  JSON.parse(execFileSync(process.execPath, [cli, ...args, '--json'], { encoding: 'utf8', maxBuffer: 2 ** 28 }));

/** Imports a folder that the server may read; gives the one image set made. */
export function importFolder(dir: string, endpointUrl: string): { datastoreId: string; imageSetId: string } {
  const report = runCli('import', dir, '--endpoint-url', endpointUrl) as {
    datastoreId: string;
    imageSets: { imageSetId: string }[];
  };
  const [imageSet] = report.imageSets;
  if (!imageSet || report.imageSets.length !== 1) throw new Error('the series did not become one image set');
  return { datastoreId: report.datastoreId, imageSetId: imageSet.imageSetId };
}

/** A `map-endpoint local` of its own, as a user starts it. */
export class BenchEndpoint {
  readonly root = mkdtempSync(join(tmpdir(), 'map-endpoint-bench-'));
  readonly models = join(this.root, 'models');
  readonly files = join(this.root, 'files');
  #child: ChildProcess | undefined;
  #url = '';

  get url(): string {
    return this.#url;
  }

  get pid(): number {
    if (this.#child?.pid === undefined) throw new Error('the endpoint is not started');
    return this.#child.pid;
  }

  async start(): Promise<this> {
    for (const dir of [this.models, this.files]) mkdirSync(dir);
    const flags = ['--json', '--port', '0', '--models', this.models, '--data', join(this.root, 'data')];
    const child = spawn(process.execPath, [cli, 'local', ...flags, '--allow', this.files], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, LOG_LEVEL: 'error' },
    });
    this.#child = child;
    const ended = once(child, 'exit').then(() => {
      throw new Error('the endpoint ended at its start');
    });
    const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), ended])) as [string];
    this.#url = (JSON.parse(line) as { url: string }).url;
    ended.catch(() => undefined);
    return this;
  }

  /** Imports a folder under {@link files}; gives the one image set made. */
  importFolder = (dir: string) => importFolder(dir, this.#url);

  addModel(bundleDir: string, name: string): void {
    runCli('pack', bundleDir, '-o', join(this.models, name));
  }

  async stop(): Promise<void> {
    if (this.#child && this.#child.exitCode === null) {
      this.#child.kill('SIGTERM');
      await once(this.#child, 'exit');
    }
    rmSync(this.root, { recursive: true, force: true });
  }
}
