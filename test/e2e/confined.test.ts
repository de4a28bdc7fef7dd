import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ZipFile } from 'yazl';
import { isRoot } from '../support/root.ts';
import { hasShared, shared } from '../support/shared-data.ts';

const programDir = fileURLToPath(new URL('../..', import.meta.url));
/** To give a process a network and a file system of its own needs root. */
const mayConfine = process.platform === 'linux' && isRoot;

/**
 * Takes the network away but for the loopback, mounts a bundle where SageMaker puts it and the program where an image
 * has it (it may lie under /tmp here), then starts the container. `$1`: the bundle, `$2`: the program, `$3`: what else is
 * taken away.
 */
const setUp = `
  set -e
  ip link set lo up
  mount --make-rprivate /
  mount -t tmpfs tmpfs /opt
  mkdir -p /opt/ml/model /opt/program
  mount --bind "$1" /opt/ml/model
  mount --bind "$2" /opt/program
  cd /opt/program
  eval "$3"
  shift 3
  exec "$@"`;
const nothingMore = '';
/** What is mounted over is out of reach, and stays as it is. */
const writesToDisk = `
  awk '{ print $5 }' /proc/self/mountinfo | sort -ru | while read -r at; do mount -o remount,bind,ro "$at" || :; done
  mount -t tmpfs -o mode=1777 tmpfs /tmp`;

/** A client in the container's network, for nothing else reaches it. Without a body it asks until it gets a 200. */
const client = `
  const { readFileSync } = await import('node:fs');
  const [url, path] = process.argv.slice(1);
  const post = path && { method: 'POST', headers: { 'content-type': 'application/zip' }, body: readFileSync(path) };
  for (;;) {
    const response = await fetch(url, post).catch(() => undefined);
    if (post || response?.status === 200) {
      console.log(JSON.stringify({ status: response?.status ?? 0, text: (await response?.text()) ?? '' }));
      break;
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }`;

interface Confined {
  readonly readyMs: number;
  readonly pid: number;
  ask(path: string, bodyPath?: string): Promise<{ status: number; text: string }>;
}

/** A container where SageMaker takes things away from it. */
describe.skipIf(!hasShared || !mayConfine)('a confined container', () => {
  const folder = mkdtempSync(join(tmpdir(), 'confined-'));
  const started: ChildProcess[] = [];
  const zipPath = join(folder, 'ct.zip');

  beforeAll(async () => {
    const zip = new ZipFile();
    const series = shared('data/ct-abdomen-30');
    for (const name of readdirSync(series)) zip.addFile(join(series, name), name);
    zip.end();
    await pipeline(zip.outputStream, createWriteStream(zipPath));
  });
  afterAll(async () => {
    for (const child of started) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
    rmSync(folder, { recursive: true, force: true });
  });

  async function start(takeAway: string): Promise<Confined> {
    const startedAt = performance.now();
    const shell = ['sh', '-c', setUp, 'sh', shared('models/spleen_ct_demo'), programDir, takeAway];
    const serve = [process.execPath, '/opt/program/dist/cli/map-endpoint.js', 'serve'];
    const child = spawn('unshare', ['--mount', '--net', ...shell, ...serve], {
      env: { PATH: process.env.PATH, SAGEMAKER_BIND_TO_PORT: '8080', LOG_LEVEL: 'warn' },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    started.push(child);
    const pid = child.pid as number;
    const ask: Confined['ask'] = async (path, bodyPath) => {
      const inside = ['--target', String(pid), '--net', process.execPath, '--input-type=module', '-e', client];
      const request = [`http://127.0.0.1:8080${path}`, ...(bodyPath ? [bodyPath] : [])];
      const { stdout } = await promisify(execFile)('nsenter', [...inside, ...request], { maxBuffer: 64 * 1024 ** 2 });
      return JSON.parse(stdout);
    };
    const ended = once(child, 'exit').then(() => {
      throw new Error('The container ended at its start.');
    });
    ended.catch(() => undefined); // it also ends when the test stops it
    const ready = (async () => {
      while (readlinkSync(`/proc/${pid}/ns/net`) === readlinkSync('/proc/self/ns/net')) await sleep(1);
      await ask('/ping');
    })();
    await Promise.race([ready, ended]);
    return { readyMs: performance.now() - startedAt, pid, ask };
  }

  async function expectSpleen({ ask }: Confined): Promise<void> {
    const { status, text } = await ask('/invocations', zipPath);
    expect(status, text.slice(0, 500)).toBe(200);
    const { measurements, outputs } = JSON.parse(text) as {
      measurements: { voxels: number }[];
      outputs: { type: string; base64?: string }[];
    };
    // ../shared/README.md: 9,745 voxels by MONAI.
    expect(Math.abs((measurements[0]?.voxels ?? 0) - 9745)).toBeLessThanOrEqual(36);
    const segmentation = outputs.find(({ type }) => type === 'dicom-seg')?.base64 ?? '';
    expect(Buffer.from(segmentation, 'base64').toString('latin1', 128, 132)).toBe('DICM');
  }

  it('works without any network: images in the request, results in the answer', async () => {
    const container = await start(nothingMore);
    const interfaces = readFileSync(`/proc/${container.pid}/net/dev`, 'utf8').match(/^ *[\w-]+(?=:)/gm);
    expect(interfaces?.map((name) => name.trim())).toEqual(['lo']);
    await expectSpleen(container);
  });

  it('starts and works where only /tmp can be written, as a serverless one', async () => {
    const container = await start(writesToDisk);
    process.stderr.write(`note: ${Math.round(container.readyMs)} ms from the start to the first 200 on /ping\n`);
    const options = new Map<string, string>();
    for (const line of readFileSync(`/proc/${container.pid}/mountinfo`, 'utf8').trim().split('\n')) {
      const fields = line.split(' ');
      options.set(fields[4] as string, fields[5] as string); // the last mount on a place is the one that counts
    }
    const writable = [...options].filter(([, option]) => !/^ro(,|$)/.test(option)).map(([place]) => place);
    expect(writable).toEqual(['/tmp']);
    await expectSpleen(container);
    expect(existsSync(`/proc/${container.pid}/root/tmp/map-endpoint`)).toBe(true);
  });
});
