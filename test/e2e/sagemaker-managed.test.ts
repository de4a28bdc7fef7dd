import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { descendants, errorOf, startTestContainer } from '../support/endpoint.ts';
import { isRoot } from '../support/root.ts';
import { hasShared, shared } from '../support/shared-data.ts';

const models = '/opt/ml/models';
const folder = `${models}/map-endpoint-test-${process.pid}`;

/** The container as SageMaker drives it in a multi-model endpoint. Needs the right to make /opt/ml. */
describe.skipIf(!hasShared || !isRoot)('a SageMaker multi-model container', () => {
  let url: string;
  let container: ChildProcess;
  let log: () => string;

  beforeAll(async () => {
    for (const name of ['one', 'two', 'broken']) {
      mkdirSync(`${folder}/${name}/model`, { recursive: true });
      cpSync(shared('models/spleen_ct_demo'), `${folder}/${name}/model`, { recursive: true });
    }
    rmSync(`${folder}/broken/model/models/model.onnx`, { force: true });
    const inputs = {
      SAGEMAKER_MULTI_MODEL: 'true',
      ALLOWED_URIS: `${shared('data')},${folder}/results`,
      DATA_DIR: `${folder}/data`,
    };
    ({ url, process: container, log } = await startTestContainer(inputs));
  }, 60_000);
  afterAll(() => {
    container?.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  });

  const load = (name: string, path = `${folder}/${name}/model`) =>
    fetch(`${url}/models`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-amzn-sagemaker-target-model': `team/${name}.tar.gz` },
      body: JSON.stringify({ model_name: name, url: path }),
    });
  const invoke = (name: string) =>
    fetch(`${url}/models/${name}/invoke`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ inputs: [{ uri: `file://${shared('data/ct-abdomen-30')}/` }] }),
    });
  /** Resident memory of the session children, as the kernel tells it. */
  const sessionBytes = () =>
    descendants(container.pid as number, 'me-session')
      .map((pid) => Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024)
      .reduce((sum, bytes) => sum + bytes, 0);

  it('is well without a model', async () => {
    expect((await fetch(`${url}/ping`)).status).toBe(200);
    expect(await (await fetch(`${url}/models`)).json()).toEqual({ models: [] });
  });

  it('loads, refuses doubles, lists with paging, describes', async () => {
    expect((await load('one')).status).toBe(200);
    expect(await errorOf(await load('one'))).toMatchObject({ status: 409, code: 'model_already_loaded' });
    expect((await load('two')).status).toBe(200);
    const described = { modelName: 'one', modelUrl: `${folder}/one/model` };
    expect(await (await fetch(`${url}/models/one`)).json()).toEqual(described);
    const first = (await (await fetch(`${url}/models?limit=1`)).json()) as { models: unknown[]; nextPageToken: string };
    expect(first.models).toEqual([described]);
    const rest = await (await fetch(`${url}/models?next_page_token=${first.nextPageToken}`)).json();
    expect(rest).toEqual({ models: [{ modelName: 'two', modelUrl: `${folder}/two/model` }] });
    for (const query of ['limit=0', 'next_page_token=bogus', 'limit=1&limit=2']) {
      expect((await fetch(`${url}/models?${query}`)).status).toBe(400);
    }
  });

  it('refuses urls elsewhere, and keeps nothing of a load that failed', async () => {
    for (const path of ['/etc', `${models}/../../../etc`, 'http://169.254.169.254/x', `${models}-evil/x`]) {
      expect((await load('evil', path)).status).toBeGreaterThanOrEqual(400);
    }
    expect(await errorOf(await load('broken'))).toMatchObject({ status: 422 });
    expect((await fetch(`${url}/models/broken`)).status).toBe(404);
    expect((await invoke('broken')).status).toBe(404);
  });

  it('works on after its answer, where a request may take no longer than 55 s', async () => {
    const ask = () =>
      fetch(`${url}/models/one/invoke`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          inputs: [{ uri: `file://${shared('data/ct-abdomen-30')}/` }],
          output: { uri: `file://${folder}/results/` },
          mode: 'background',
        }),
      });
    const first = await ask();
    expect(first.status).toBe(202);
    const { resultPrefix } = (await first.json()) as { resultPrefix: string };
    await vi.waitFor(() => expect(existsSync(fileURLToPath(`${resultPrefix}result.json`))).toBe(true), 60_000);
    await vi.waitFor(async () => expect((await ask()).status).toBe(200));
    const answer = (await (await ask()).json()) as { measurements: { voxels: number }[] };
    // ../shared/README.md: 9,745 voxels by MONAI.
    expect(Math.abs((answer.measurements[0]?.voxels ?? 0) - 9745)).toBeLessThanOrEqual(36);
  });

  it('answers, also when loaded under an opaque name', async () => {
    const response = await invoke('one');
    const answer = (await response.json()) as { model: { name: string }; measurements: { voxels: number }[] };
    expect(response.status).toBe(200);
    expect(answer.model.name).toBe('team/one');
    expect(answer.measurements[0]?.voxels).toBe(9745);
  }, 60_000);

  it('has the memory back when DELETE answers, seen from outside', async () => {
    const before = descendants(container.pid as number, 'me-session').length;
    const beforeBytes = sessionBytes();
    expect((await fetch(`${url}/models/one`, { method: 'DELETE' })).status).toBe(200);
    expect(descendants(container.pid as number, 'me-session').length).toBeLessThan(before);
    expect(sessionBytes()).toBeLessThan(beforeBytes - 50 * 1024 ** 2);
    expect((await fetch(`${url}/models/one`, { method: 'DELETE' })).status).toBe(404);
    expect((await invoke('one')).status).toBe(404);
  });

  it('lets a running request finish when it is told to stop, and leaves nothing', async () => {
    const pending = invoke('two');
    await new Promise((resolve) => setTimeout(resolve, 500));
    container.kill('SIGTERM');
    const exited = once(container, 'exit');
    expect((await pending).status).toBe(200);
    expect(await exited).toEqual([0, null]);
    expect(readdirSync(`${folder}/data/run`)).toEqual([]);
    expect(log()).not.toContain('error');
  }, 60_000);
});
