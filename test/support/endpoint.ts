import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { readPart10 } from '../../src/formats/dicom/part10-reader.ts';
import { tags } from '../../src/formats/dicom/tags.ts';

const cli = fileURLToPath(new URL('../../dist/cli/map-endpoint.js', import.meta.url));

/** `map-endpoint local`, running as a user would run it, on folders of its own. */
export interface TestEndpoint {
  readonly url: string;
  readonly process: ChildProcess;
  readonly modelsDir: string;
  readonly dataDir: string;
  /** Inputs and outputs may lie here. */
  readonly filesDir: string;
  /** What the server logged so far. */
  log(): string;
  /** Imports a folder of DICOM files; gives the image sets made. */
  importFolder(folder: string): Promise<{ datastoreId: string; imageSets: { imageSetId: string }[] }>;
  /** Packs a bundle folder into the models folder. */
  addModel(bundleDir: string, name: string): void;
  invoke(targetModel: string | undefined, body: unknown, init?: RequestInit): Promise<Response>;
  /** Copies a folder into `filesDir`. */
  copyInput(folder: string, name: string): void;
  /** Starts the same again, after its process has ended; the port is another one. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/**
 * Starts the compiled CLI in local mode; `env` adds to the environment.
 *
 * @param moreFlags - further flags, given the folder that inputs and outputs may lie in
 */
export async function startTestEndpoint(
  env: Record<string, string> = {},
  moreFlags: (filesDir: string) => readonly string[] = () => [],
): Promise<TestEndpoint> {
  const root = mkdtempSync(join(tmpdir(), 'map-endpoint-test-'));
  const [modelsDir, dataDir, filesDir] = ['models', 'data', 'files'].map((name) => join(root, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(modelsDir);
  mkdirSync(filesDir);
  const flags = ['--port', '0', '--json', '--models', modelsDir, '--data', dataDir, '--allow', filesDir];
  flags.push(...moreFlags(filesDir));
  let logs = (): string => '';
  const start = async (): Promise<{ url: string; child: ChildProcess }> => {
    const child = spawn(process.execPath, [cli, 'local', ...flags], {
      env: { ...process.env, LOG_LEVEL: 'info', MODEL_REFRESH_SECONDS: '0', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const [earlier, log] = [logs, collectLog(child)];
    logs = () => earlier() + log();
    const firstLine = once(createInterface({ input: child.stdout }), 'line');
    const [line] = (await Promise.race([firstLine, endedEarly(child, log)])) as [string];
    return { url: (JSON.parse(line) as { url: string }).url, child };
  };
  let { url, child } = await start();
  return {
    get url() {
      return url;
    },
    get process() {
      return child;
    },
    modelsDir,
    dataDir,
    filesDir,
    log: () => logs(),
    copyInput: (folder, name) => cpSync(folder, join(filesDir, name), { recursive: true }),
    async restart() {
      ({ url, child } = await start());
    },
    async importFolder(folder) {
      const copy = mkdtempSync(join(filesDir, 'import-'));
      cpSync(folder, copy, { recursive: true });
      const flags = ['import', copy, '--endpoint-url', url, '--json'];
      const importer = spawn(process.execPath, [cli, ...flags], { stdio: ['ignore', 'pipe', 'inherit'] });
      let output = '';
      importer.stdout.setEncoding('utf8').on('data', (text: string) => {
        output += text;
      });
      await once(importer, 'close');
      return JSON.parse(output);
    },
    addModel(bundleDir, name) {
      execFileSync(process.execPath, [cli, 'pack', bundleDir, '--no-trial', '-o', join(modelsDir, name)], {
        stdio: 'ignore',
      });
    },
    invoke(targetModel, body, init = {}) {
      const headers = {
        'content-type': 'application/json',
        ...(targetModel === undefined ? {} : { 'x-amzn-sagemaker-target-model': targetModel }),
      };
      return fetch(`${url}/invocations`, { method: 'POST', headers, body: JSON.stringify(body), ...init });
    },
    async stop() {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGTERM');
        await once(child, 'exit');
      }
      rmSync(root, { recursive: true, force: true });
    },
  };
}

/** Starts the container's command on a free port; its settings are `env`. */
export async function startTestContainer(
  env: Record<string, string>,
): Promise<{ url: string; process: ChildProcess; log: () => string }> {
  const port = await freePort();
  const child = spawn(process.execPath, [cli, 'serve'], {
    env: { ...process.env, SAGEMAKER_BIND_TO_PORT: String(port), ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const log = collectLog(child);
  const url = `http://127.0.0.1:${port}`;
  const ended = endedEarly(child, log);
  const ready = (async () => {
    for (;;) {
      const status = await fetch(`${url}/ping`).then(
        (response) => response.status,
        () => 0,
      );
      if (status === 200) return;
      await sleep(50);
    }
  })();
  await Promise.race([ready, ended]);
  return { url, process: child, log };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

function collectLog(child: ChildProcess): () => string {
  let log = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    log += text;
  });
  return () => log;
}

/** Rejects when the process ends; to be raced against its readiness. */
async function endedEarly(child: ChildProcess, log: () => string): Promise<never> {
  const ended = once(child, 'exit').then(() => {
    throw new Error(`The endpoint ended at its start:\n${log()}`);
  });
  ended.catch(() => undefined); // it also ends when a test stops it
  return await ended;
}

/** Process ids with a title, among the descendants of a process. */
export function descendants(pid: number, title: string): number[] {
  const children = new Map<number, number[]>();
  const titles = new Map<number, string>();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
      titles.set(Number(name), readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ').trim());
    } catch {
      // The process ended between the listing and the reading.
    }
  }
  const found: number[] = [];
  const visit = (parent: number): void => {
    for (const child of children.get(parent) ?? []) {
      if (titles.get(child)?.startsWith(title)) found.push(child);
      visit(child);
    }
  };
  visit(pid);
  return found;
}

/** All files under a folder, relative. */
export function filesUnder(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}

/** The `error` object of an answer. */
export async function errorOf(response: Response): Promise<{ status: number; code: string; message: string }> {
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  return { status: response.status, ...error };
}

/**
 * Checksums of an answer's results. A DICOM object carries the time of its writing, so its pixel data counts; other
 * files count whole.
 */
export function resultSums(answer: {
  outputs: readonly { type: string; sha256: string; base64?: string }[];
}): [type: string, sha256: string][] {
  return answer.outputs.map(({ type, sha256, base64 }) => {
    if (type !== 'dicom-seg') return [type, sha256];
    const file = readPart10(Buffer.from(base64 as string, 'base64'));
    const hash = createHash('sha256').update(file.dataset.string(tags.SOPInstanceUID) as string);
    for (let frame = 0; frame < file.numberOfFrames; frame++) hash.update(file.frame(frame));
    return [type, hash.digest('hex')];
  });
}
