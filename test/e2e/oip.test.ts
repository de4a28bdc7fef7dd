import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { datatypeOf } from '../../src/api/oip.ts';
import { elementBytes, type TensorType } from '../../src/imaging/tensor.ts';
import { writeTree } from '../support/archives.ts';
import { descendants, startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { addSubNetwork, binaryBody, identityNetwork, tensorBundle } from '../support/tensor-bundles.ts';

const page = readFileSync(new URL('../../docs/oip.md', import.meta.url), 'utf8');
const sample = fileURLToPath(new URL('../../samples/spleen_ct_demo', import.meta.url));
const types = Object.keys(datatypeOf) as TensorType[];

/** The Open Inference Protocol through all processes: front, pipeline process, session child. */
describe('/v2 of a running endpoint', () => {
  let endpoint: TestEndpoint;
  let dir: string;

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), 'oip-'));
    endpoint = await startTestEndpoint();
    for (const type of types) {
      writeTree(join(dir, type), tensorBundle(identityNetwork(type, ['N', 3]), '7'));
      endpoint.addModel(join(dir, type), `types/${type}.tar.gz`);
    }
    writeTree(join(dir, 'add'), tensorBundle(addSubNetwork('float32', [2])));
    endpoint.addModel(join(dir, 'add'), 'add.tar.gz');
    endpoint.addModel(sample, 'spleen.tar.gz');
  }, 120_000);
  afterAll(async () => {
    await endpoint?.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const v2 = (path: string, init: RequestInit = { method: 'POST' }) => fetch(`${endpoint.url}/v2/${path}`, init);
  const post = (path: string, body: object) => v2(path, { method: 'POST', body: JSON.stringify(body) });
  const indexed = async (name: string): Promise<string | undefined> => {
    const index = (await (await v2('repository/index')).json()) as { name: string; state: string }[];
    return index.find((model) => model.name === name)?.state;
  };
  const sessions = () => descendants(endpoint.process.pid as number, 'me-session').length;
  const adding = {
    inputs: ['INPUT0', 'INPUT1'].map((name) => ({ name, shape: [2], datatype: 'FP32', data: [1.5, -2] })),
  };

  it.each(types)('gives %s back bit by bit from onnxruntime', async (type) => {
    const bytes = Uint8Array.from({ length: 3 * elementBytes[type] }, (_, index) =>
      type === 'bool' ? index % 2 : 17 * index,
    );
    const head = {
      inputs: [
        { name: 'INPUT0', datatype: datatypeOf[type], shape: [1, 3], parameters: { binary_data_size: bytes.length } },
      ],
      parameters: { binary_data_output: true },
    };
    const { body, headerLength } = binaryBody(head, bytes);
    const headers = { 'inference-header-content-length': String(headerLength) };
    const response = await v2(`models/types%2F${type}/versions/7/infer`, { method: 'POST', headers, body });
    expect(response.status).toBe(200);
    const answer = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get('inference-header-content-length'));
    expect(JSON.parse(answer.toString('utf8', 0, length))).toMatchObject({
      model_name: `types/${type}`,
      model_version: '7',
    });
    expect(answer.subarray(length).equals(Buffer.from(bytes))).toBe(true);
    await v2(`repository/models/types%2F${type}/unload`);
  });

  it('carries a tensor that is spooled to disk both ways', async () => {
    const rows = 200_000;
    const tensor = Float32Array.from({ length: rows * 3 }, (_, index) => index / 7);
    const size = tensor.byteLength;
    const head = {
      inputs: [{ name: 'INPUT0', datatype: 'FP32', shape: [rows, 3], parameters: { binary_data_size: size } }],
      outputs: [{ name: 'OUTPUT0', parameters: { binary_data: true } }],
    };
    const { body, headerLength } = binaryBody(head, new Uint8Array(tensor.buffer));
    const headers = { 'inference-header-content-length': String(headerLength) };
    const response = await v2('models/types/float32/infer', { method: 'POST', headers, body });
    const answer = Buffer.from(await response.arrayBuffer());
    expect(answer.subarray(-size).equals(Buffer.from(tensor.buffer))).toBe(true);
  });

  it('answers tensors on /invocations too, and tells a model of tensors from one of images', async () => {
    const answer = await endpoint.invoke('add.tar.gz', adding);
    expect(((await answer.json()) as { outputs: unknown }).outputs).toEqual([
      { name: 'OUTPUT0', datatype: 'FP32', shape: [2], data: [3, -4] },
      { name: 'OUTPUT1', datatype: 'FP32', shape: [2], data: [0, 0] },
    ]);
    const imaging = await endpoint.invoke('add.tar.gz', { inputs: [{ uri: `file://${endpoint.filesDir}/` }] });
    expect(imaging.status).toBe(400);
    expect(await imaging.text()).toContain('takes tensors only');
  });

  it('describes the network of an imaging model and runs it on a tensor', async () => {
    const metadata = await (await v2('models/spleen', {})).json();
    const [input] = (metadata as { inputs: { name: string; datatype: string; shape: number[] }[] }).inputs;
    expect(input).toMatchObject({ datatype: 'FP32' });
    const data = new Float32Array(96 ** 3).fill(0.5);
    const shape = [1, 1, 96, 96, 96];
    const head = {
      inputs: [{ name: input?.name, datatype: 'FP32', shape, parameters: { binary_data_size: data.byteLength } }],
      parameters: { binary_data_output: true },
    };
    const { body, headerLength } = binaryBody(head, new Uint8Array(data.buffer));
    const headers = { 'inference-header-content-length': String(headerLength) };
    const response = await v2('models/spleen/infer', { method: 'POST', headers, body });
    const answer = Buffer.from(await response.arrayBuffer());
    const length = Number(response.headers.get('inference-header-content-length'));
    expect(JSON.parse(answer.toString('utf8', 0, length)).outputs[0].shape).toEqual([1, 2, 96, 96, 96]);
    expect(answer.length - length).toBe(2 * data.byteLength);
  });

  it('loads and unloads as KServe’s agent does: twice is well, and no file is touched', async () => {
    await v2('repository/models/add/unload');
    expect((await v2('models/add/ready', {})).status).toBe(404);
    for (let n = 0; n < 2; n++) expect((await post('repository/models/add/load', {})).status).toBe(200);
    expect((await v2('models/add/ready', {})).status).toBe(200);
    expect(await indexed('add')).toBe('READY');
    const before = sessions();
    const archive = join(endpoint.modelsDir, 'add.tar.gz');
    const bytes = readFileSync(archive);
    // The agent deletes a model's files first, and unloads it then.
    rmSync(archive);
    for (let n = 0; n < 2; n++) expect((await post('repository/models/add/unload', {})).status).toBe(200);
    expect(sessions()).toBeLessThan(before);
    expect(await indexed('add')).toBeUndefined();
    expect((await post('models/add/infer', adding)).status).toBe(404);
    writeFileSync(archive, bytes);
    expect((await post('repository/models/add/load', {})).status).toBe(200);
    expect((await post('repository/models/add/unload', {})).status).toBe(200);
    expect(readFileSync(archive).equals(bytes)).toBe(true);
  });

  it('unloads a model that is still being loaded', async () => {
    const loading = post('repository/models/spleen/load', {});
    const unloading = post('repository/models/spleen/unload', {});
    expect([(await loading).status, (await unloading).status]).toEqual([200, 200]);
    await post('repository/models/spleen/unload', {});
    expect(await indexed('spleen')).toBeUndefined();
  });

  it('tells in the index why a model failed', async () => {
    writeFileSync(join(endpoint.modelsDir, 'bad.tar.gz'), 'no archive');
    expect((await post('repository/models/bad/load', {})).status).toBe(422);
    const index = await (await v2('repository/index')).json();
    expect(index).toContainEqual({ name: 'bad', state: 'FAILED', reason: 'invalid_archive' });
    expect(await (await post('repository/models/absent/load', {})).json()).toMatchObject({ code: 'model_not_found' });
    expect((await post('repository/models/..%2Fx/load', {})).status).toBe(400);
  });

  it('does what docs/oip.md shows', () => {
    const blocks = [...page.matchAll(/^```sh test\n([\s\S]*?)^```$/gm)].map((match) => match[1] as string);
    expect(blocks.length).toBeGreaterThan(0);
    for (const block of blocks) {
      const output = execFileSync('bash', ['-euc', block.replaceAll('http://127.0.0.1:8080', endpoint.url)], {
        encoding: 'utf8',
      });
      expect(output).toContain('"outputs":[{"name":"OUTPUT0"');
    }
  });
});
