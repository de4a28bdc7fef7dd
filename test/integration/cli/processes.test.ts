import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startTestEndpoint, type TestEndpoint } from '../../support/endpoint.ts';
import { hasShared, shared } from '../../support/shared-data.ts';

const cli = fileURLToPath(new URL('../../../dist/cli/map-endpoint.js', import.meta.url));
let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'map-endpoint-cli-'));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

const run = (args: string[], env: Record<string, string> = {}) =>
  spawnSync(process.execPath, [cli, ...args], { cwd: dir, encoding: 'utf8', env: { ...process.env, ...env } });

describe('exit codes', () => {
  it('1 with a hint when nothing listens', () => {
    const to = ['--endpoint-url', 'http://127.0.0.1:9', '--target-model', 'a.tar.gz'];
    const ended = run(['invoke', ...to, '--datastore', 'd', '--image-set', 'i', '--json']);
    expect(ended.status).toBe(1);
    expect(JSON.parse(ended.stdout)).toHaveProperty('error.code', 'ECONNREFUSED');
    expect(ended.stderr).toContain('is "map-endpoint local" running?');
  });

  it.each([
    ['local', { WORKERS: 'many' }, 'WORKERS'],
    ['local', { REQUEST_TIMEOUT_SECONDS: '-1' }, 'REQUEST_TIMEOUT_SECONDS'],
    ['serve', { SAGEMAKER_BIND_TO_PORT: '70000' }, 'SAGEMAKER_BIND_TO_PORT'],
    ['serve', { SAGEMAKER_BIND_TO_PORT: '9000', SAGEMAKER_SAFE_PORT_RANGE: '8000-8100' }, 'SAGEMAKER_SAFE_PORT_RANGE'],
  ])('2 and the name when %s is started with %o', (command, env, name) => {
    const ended = run([command], env);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toContain(name);
    expect(ended.stdout).toBe('');
  });

  it('2 for a port that is taken', async () => {
    const first = await start(['local', '--port', '0', '--models', dir, '--data', join(dir, 'one')]);
    const ended = run(['local', '--port', new URL(first.url).port, '--models', dir, '--data', join(dir, 'two')]);
    expect(ended.status).toBe(2);
    expect(ended.stderr).toContain('EADDRINUSE');
  });
});

interface Started {
  readonly url: string;
  readonly child: ReturnType<typeof spawn>;
}
const running: Started['child'][] = [];
afterEach(async () => {
  for (const child of running.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }
});

/** Starts a server and gives the URL that it prints. */
async function start(args: string[]): Promise<Started> {
  const child = spawn(process.execPath, [cli, ...args, '--json'], { cwd: dir, stdio: ['ignore', 'pipe', 'ignore'] });
  running.push(child);
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { url: (JSON.parse(line) as { url: string }).url, child };
}

describe('local', () => {
  it('prints its URL alone, is ready then, and ends with 0 on SIGTERM', async () => {
    mkdirSync(join(dir, 'models'));
    const { url, child } = await start(['local', '--port', '0', '--data', join(dir, 'data')]);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect((await fetch(`${url}/ping`)).status).toBe(200);
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    await expect(fetch(`${url}/ping`)).rejects.toThrow();
  });
});

describe.skipIf(!hasShared)('import', () => {
  let endpoint: TestEndpoint;
  beforeAll(async () => {
    endpoint = await startTestEndpoint();
  });
  afterAll(() => endpoint?.stop());

  const folder = (name: string): string => {
    const path = join(endpoint.filesDir, name);
    mkdirSync(path);
    return path;
  };
  const importInto = (...args: string[]) => run(['import', ...args, '--endpoint-url', endpoint.url, '--json']);

  it('makes a data store where there is none, and finds it again', () => {
    const abdomen = folder('abdomen');
    cpSync(shared('data/ct-abdomen-30'), abdomen, { recursive: true });
    const [first, second] = [importInto(abdomen), importInto(abdomen)].map(({ status, stdout }) => {
      expect(status).toBe(0);
      return JSON.parse(stdout);
    });
    expect(first).toMatchObject({ scannedFiles: 30, importedFiles: 30, failures: [] });
    expect(first.imageSets).toMatchObject([{ isPrimary: true, instances: 30 }]);
    expect(second.datastoreId).toBe(first.datastoreId);
  });

  it('ends with 1 and names the file that was refused, the others are in', () => {
    const mixed = folder('mixed');
    cpSync(shared('data/ct-abdomen-30/CT0001.dcm'), join(mixed, 'good.dcm'));
    writeFileSync(join(mixed, 'bad.dcm'), 'no DICOM at all');
    const ended = importInto(mixed);
    expect(ended.status).toBe(1);
    const report = JSON.parse(ended.stdout);
    expect(report).toMatchObject({ scannedFiles: 2, importedFiles: 1 });
    expect(report.failures).toHaveLength(1);
    expect(report.failures[0].file).toContain('bad.dcm');
    expect(ended.stderr).toContain('1 of 2 files were not imported');
  });

  it('ends with 1 for a folder without DICOM, and for one that the server may not read', () => {
    expect(importInto(folder('empty')).status).toBe(1);
    const outside = importInto(dir);
    expect(outside.status).toBe(1);
    expect(JSON.parse(outside.stdout).error.message).toContain('--allow');
  });
});
