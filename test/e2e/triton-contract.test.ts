/**
 * The assertions of Triton's own multi-model tests (qa/L0_sagemaker: sagemaker_multi_model_test.py and test.sh), one by
 * one and in their order, against the container's command. Needs the right to make /opt/ml.
 */
import type { ChildProcess } from 'node:child_process';
import { rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTree } from '../support/archives.ts';
import { errorOf, startTestContainer } from '../support/endpoint.ts';
import { isRoot } from '../support/root.ts';
import { addSubNetwork, binaryBody, identityNetwork, tensorBundle } from '../support/tensor-bundles.ts';

const root = '/opt/ml/models';
const binaryType = 'application/vnd.sagemaker-triton.binary+json;json-header-size=';
const json = { 'content-type': 'application/json' };
const counting = Array.from({ length: 16 }, (_, index) => index);

const models = {
  one: { name: 'sm_mme_model_1', folder: `123456789abcdefghi-${process.pid}` },
  two: { name: 'sm_mme_model_2', folder: `987654321ihgfedcba-${process.pid}` },
  ensemble: { name: '123456789ensemble', folder: `123456789ensemble-${process.pid}` },
};
const folders = Object.values(models).map(({ folder }) => `${root}/${folder}`);
const broken = `${root}/broken-${process.pid}`;

describe.skipIf(!isRoot)("Triton's multi-model test", () => {
  let url: string;
  let container: ChildProcess;

  beforeAll(async () => {
    writeTree(`${root}/${models.one.folder}/model`, tensorBundle(addSubNetwork('int32', [1, 16])));
    writeTree(`${root}/${models.two.folder}/model`, tensorBundle(identityNetwork('float32', ['N', 8])));
    writeTree(`${root}/${models.ensemble.folder}/model`, tensorBundle(addSubNetwork('float32', [1, 16])));
    writeTree(`${broken}/model`, {
      ...tensorBundle(identityNetwork('float32', [1])),
      'map.json': Buffer.from('{"x":1}'),
    });
    const env = { SAGEMAKER_MULTI_MODEL: 'true', SAGEMAKER_MODEL_URL: 'parent', DATA_DIR: `${broken}/data` };
    ({ url, process: container } = await startTestContainer(env));
  }, 60_000);
  afterAll(() => {
    container?.kill('SIGKILL');
    for (const folder of [...folders, broken]) rmSync(folder, { recursive: true, force: true });
  });

  const load = ({ name, folder }: { name: string; folder: string }, headers: Record<string, string> = {}) =>
    fetch(`${url}/models`, {
      method: 'POST',
      headers: { ...json, ...headers },
      body: JSON.stringify({ model_name: name, url: `${root}/${folder}/model` }),
    });
  const described = ({ name, folder }: { name: string; folder: string }) => ({
    modelName: name,
    modelUrl: `${root}/${folder}`,
  });
  const addSub = (datatype: string) => ({
    inputs: ['INPUT0', 'INPUT1'].map((name) => ({ name, shape: [1, 16], datatype, data: counting })),
    outputs: ['OUTPUT0', 'OUTPUT1'].map((name) => ({ name, parameters: { binary_data: false } })),
  });
  const invoke = (name: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = json) =>
    fetch(`${url}/models/${name}/invoke`, { method: 'POST', headers, body });
  const unload = (name: string) => fetch(`${url}/models/${name}`, { method: 'DELETE' });

  it('answers the ping with no model loaded, on the port that it was told (test.sh)', async () => {
    const response = await fetch(`${url}/ping`);
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect(await (await fetch(`${url}/models`)).json()).toEqual({ models: [] });
  });

  it('1: loads model_1, refuses it a second time, loads model_2', async () => {
    expect((await load(models.one)).status).toBe(200);
    expect((await load(models.one)).status).toBe(409);
    expect((await load(models.two)).status).toBe(200);
  });

  it('2: lists both, each with its name and its url without the last /model', async () => {
    const { models: listed } = (await (await fetch(`${url}/models`)).json()) as { models: unknown[] };
    expect(listed).toHaveLength(2);
    expect(listed).toEqual(expect.arrayContaining([described(models.one), described(models.two)]));
  });

  it('3: describes model_1', async () => {
    expect(await (await fetch(`${url}/models/${models.one.name}`)).json()).toEqual(described(models.one));
  });

  it('4: gives model_1’s sums and differences, exactly this JSON', async () => {
    const response = await invoke(models.one.name, JSON.stringify(addSub('INT32')));
    expect(response.status).toBe(200);
    expect(await response.json()).toEqual({
      model_name: models.one.name,
      model_version: '1',
      outputs: [
        { name: 'OUTPUT0', datatype: 'INT32', shape: [1, 16], data: counting.map((value) => 2 * value) },
        { name: 'OUTPUT1', datatype: 'INT32', shape: [1, 16], data: counting.map(() => 0) },
      ],
    });
  });

  it('4: gives model_2’s tensor back in binary, with a header size of its own', async () => {
    const tensor = Float32Array.from({ length: 8 }, (_, index) => index);
    const head = {
      inputs: [{ name: 'INPUT0', shape: [1, 8], datatype: 'FP32', parameters: { binary_data_size: 32 } }],
      outputs: [{ name: 'OUTPUT0', parameters: { binary_data: true } }],
    };
    const { body, headerLength } = binaryBody(head, new Uint8Array(tensor.buffer));
    const response = await invoke(models.two.name, body, {
      'content-type': `${binaryType}${headerLength}`,
    });
    const contentType = response.headers.get('content-type') ?? '';
    expect([response.status, contentType.startsWith(binaryType)]).toEqual([200, true]);
    const bytes = Buffer.from(await response.arrayBuffer());
    const size = Number(contentType.slice(binaryType.length));
    expect(size).not.toBe(headerLength);
    expect(JSON.parse(bytes.toString('utf8', 0, size))).toEqual({
      model_name: models.two.name,
      model_version: '1',
      outputs: [{ name: 'OUTPUT0', datatype: 'FP32', shape: [1, 8], parameters: { binary_data_size: 32 } }],
    });
    expect(bytes.subarray(size).equals(Buffer.from(tensor.buffer))).toBe(true);
  });

  it('serves /v2 by the names that are loaded, and lets nobody but SageMaker load and unload', async () => {
    const infer = await fetch(`${url}/v2/models/${models.one.name}/infer`, {
      method: 'POST',
      body: JSON.stringify(addSub('INT32')),
    });
    expect(((await infer.json()) as { model_name: string }).model_name).toBe(models.one.name);
    for (const action of ['load', 'unload']) {
      const path = `${url}/v2/repository/models/${models.one.name}/${action}`;
      const refused = await fetch(path, { method: 'POST', body: '{}' });
      expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([403, 'forbidden']);
    }
    expect((await fetch(`${url}/v2/models/${models.one.name}/ready`)).status).toBe(200);
    expect((await fetch(`${url}/v2/models/sm_non_loaded_model/infer`, { method: 'POST', body: '{}' })).status).toBe(
      404,
    );
  });

  it('keeps nothing of a load that failed, and tells why', async () => {
    const failing = { name: 'broken', folder: `broken-${process.pid}` };
    expect(await errorOf(await load(failing))).toMatchObject({ status: 422, code: 'invalid_archive' });
    expect((await fetch(`${url}/models/broken`)).status).toBe(404);
    expect((await invoke('broken', JSON.stringify(addSub('INT32')))).status).toBe(404);
    expect((await unload('broken')).status).toBe(404);
    expect(((await (await fetch(`${url}/models`)).json()) as { models: unknown[] }).models).toHaveLength(2);
    const index = await (await fetch(`${url}/v2/repository/index`, { method: 'POST' })).json();
    expect(index).toContainEqual({ name: 'broken', state: 'FAILED', reason: 'invalid_archive' });
    expect(index).toContainEqual({ name: models.one.name, state: 'READY', reason: '' });
    // Not even its name is taken: a good model may have it.
    expect((await load({ name: 'broken', folder: models.two.folder })).status).toBe(200);
    expect((await unload('broken')).status).toBe(200);
  });

  it('5: unloads both, and answers 404 for one that is not loaded', async () => {
    expect((await unload(models.one.name)).status).toBe(200);
    expect((await unload(models.two.name)).status).toBe(200);
    expect((await unload('sm_non_loaded_model')).status).toBe(404);
    expect(await (await fetch(`${url}/models`)).json()).toEqual({ models: [] });
  });

  it('answers 404 for the invocation of an unknown model (test.sh)', async () => {
    expect((await invoke(models.one.name, JSON.stringify(addSub('INT32')))).status).toBe(404);
  });

  it('6: loads with a Target-Model header that has no suffix, invokes and unloads', async () => {
    const { name } = models.ensemble;
    expect((await load(models.ensemble, { 'x-amzn-sagemaker-target-model': name })).status).toBe(200);
    const response = await invoke(name, JSON.stringify(addSub('FP32')));
    expect(response.status).toBe(200);
    const { outputs } = (await response.json()) as { outputs: { data: number[] }[] };
    expect(outputs[0]?.data).toEqual(counting.map((value) => 2 * value));
    expect((await unload(name)).status).toBe(200);
  });

  it('refuses more than 65,536 chunks (sagemaker_request_many_chunks.py)', async () => {
    expect((await load(models.two)).status).toBe(200);
    const path = `/models/${models.two.name}/invoke`;
    const answer = await sendChunks(Number(new URL(url).port), path, 100_000);
    expect(answer).toMatch(/^HTTP\/1.1 400 Bad Request\r\n/);
    expect(answer).toContain('more than 65536 chunks');
    expect(await sendChunks(Number(new URL(url).port), path, 65_536)).toContain('not valid JSON');
    expect((await fetch(`${url}/ping`)).status).toBe(200);
  });
});

describe('the start of the container (test.sh)', () => {
  it('fails for a port outside the safe range', async () => {
    await expect(startTestContainer({ SAGEMAKER_SAFE_PORT_RANGE: '1-2' })).rejects.toThrow('SAGEMAKER_SAFE_PORT_RANGE');
  });

  it('guards model management, and leaves ping and inference open, where a token is set', async () => {
    // Triton's restricted API, in our words: outside SageMaker, by a bearer token.
    const { url, process: container } = await startTestContainer({ MANAGEMENT_TOKEN: 'secret' });
    try {
      const calls = [
        ['GET', '/models'],
        ['POST', '/models'],
        ['DELETE', '/models/any'],
        ['POST', '/v2/repository/index'],
        ['POST', '/v2/repository/models/any/load'],
        ['POST', '/v2/repository/models/any/unload'],
      ] as const;
      for (const [method, path] of calls) expect((await fetch(url + path, { method })).status, path).toBe(401);
      expect((await fetch(`${url}/models`, { headers: { authorization: 'Bearer secret' } })).status).toBe(200);
      expect((await fetch(`${url}/ping`)).status).toBe(200);
      expect((await fetch(`${url}/models/any/invoke`, { method: 'POST', body: 'x' })).status).toBe(404);
    } finally {
      container.kill('SIGKILL');
    }
  });
});

/** Sends a body in chunks of one byte on a connection of its own; gives the whole answer. */
function sendChunks(port: number, path: string, chunks: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(port, '127.0.0.1');
    let answer = '';
    socket.on('data', (data) => {
      answer += data.toString('latin1');
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
    socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: ${binaryType}9\r\n`);
    socket.write('transfer-encoding: chunked\r\nconnection: close\r\n\r\n');
    socket.write(`${'1\r\nx\r\n'.repeat(chunks)}0\r\n\r\n`);
  });
}
