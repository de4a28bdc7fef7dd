import { afterEach, describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import type { OipModels } from '../../../src/server/oip/oip-models.ts';
import { type FakeFront, type FakeRun, startFakeFront } from '../../support/fake-front.ts';

let front: FakeFront;
afterEach(() => front.close());

const echo: FakeRun = async (job) => {
  const request = job.requests[0];
  const told = { model: job.model.name, protocol: request?.protocol, headers: request?.headers };
  return [
    { ok: true, result: { body: Buffer.from(JSON.stringify(told)), contentType: 'application/json' }, headers: {} },
  ];
};
const post = (path: string, init: RequestInit = {}) => fetch(front.url + path, { method: 'POST', ...init });
const get = (path: string, init: RequestInit = {}) => fetch(front.url + path, init);

/** Models from thin air: `known…` is there in version 1, `spleen` fails. */
function fakeModels(): OipModels & { calls: string[] } {
  const calls: string[] = [];
  return {
    calls,
    acquire: async (name) => {
      if (!name.startsWith('known')) throw new EndpointError('model_not_found', 'No such model.');
      const signature = {
        inputs: [{ name: 'x', type: 'float16' as const, dims: ['N', 3, -1] }],
        outputs: [{ name: 'y', type: 'int64' as const, dims: [] }],
      };
      calls.push(`acquire ${name}`);
      const model = { key: name, name, dir: '', digest: '', signature };
      return { model, release: () => calls.push(`release ${name}`) };
    },
    isReady: (name) => name === 'known',
    load: async (name) => {
      if (name === 'spleen') throw new EndpointError('invalid_archive', 'It is damaged.', { details: { file: 'x' } });
      calls.push(`load ${name}`);
    },
    unload: async (name) => {
      calls.push(`unload ${name}`);
    },
    version: () => '1',
    status: () => [{ name: 'known', state: 'READY', sizeBytes: 1 }],
  };
}

describe('/v2', () => {
  it('tells what it is, that it lives and that it is ready, also with no model', async () => {
    front = await startFakeFront(echo);
    expect(await (await get('/v2')).json()).toMatchObject({ name: 'map-endpoint', extensions: expect.any(Array) });
    expect((await get('/v2/health/live')).status).toBe(200);
    expect(await (await get('/v2/health/ready')).json()).toEqual({ ready: true });
    front.health.drain();
    expect((await get('/v2/health/live')).status).toBe(200);
    expect((await get('/v2/health/ready')).status).toBe(503);
  });

  it('describes a model, in the version that is loaded or in none', async () => {
    const oipModels = fakeModels();
    front = await startFakeFront(echo, { oipModels });
    for (const path of ['/v2/models/known%2Fa', '/v2/models/known/a', '/v2/models/known%2Fa/versions/1']) {
      expect(await (await get(path)).json()).toEqual({
        name: 'known/a',
        versions: ['1'],
        platform: 'onnxruntime_onnx',
        inputs: [{ name: 'x', datatype: 'FP16', shape: [-1, 3, -1] }],
        outputs: [{ name: 'y', datatype: 'INT64', shape: [] }],
      });
    }
    expect((await get('/v2/models/known/versions/2')).status).toBe(404);
    expect((await get('/v2/models/known/versions/1/ready')).status).toBe(200);
    expect((await get('/v2/models/known/versions/2/ready')).status).toBe(404);
    expect((await get('/v2/models/other/ready')).status).toBe(404);
    const uses = oipModels.calls.map((call) => call.split(' ')[0]);
    expect(uses.filter((use) => use === 'release')).toHaveLength(uses.length / 2);
  });

  it('hands an inference to the handler as what it is', async () => {
    front = await startFakeFront(echo, { oipModels: fakeModels() });
    const headers = { 'inference-header-content-length': '2', 'content-type': 'application/octet-stream' };
    const answer = await (await post('/v2/models/known/versions/1/infer', { headers, body: '{}' })).json();
    expect(answer).toMatchObject({ model: 'known', protocol: 'oip', headers });
    const other = await post('/v2/models/known/versions/3/infer', { body: '{}' });
    expect(other.status).toBe(404);
  });

  it('gives errors as the protocol has them, with our code beside the text', async () => {
    front = await startFakeFront(echo, { oipModels: fakeModels() });
    const failed = await post('/v2/repository/models/spleen/load', { body: '{}' });
    expect(failed.status).toBe(422);
    expect(await failed.json()).toEqual({ error: 'It is damaged.', code: 'invalid_archive', details: { file: 'x' } });
    for (const [method, path] of [
      ['POST', '/v2/repository/models/known/drop'],
      ['GET', '/v2/repository/models/known/load'],
      ['POST', '/v2/models/known'],
      ['GET', '/v2/models/'],
      ['GET', '/v2/models/%ff'],
      ['GET', '/v2/nowhere'],
    ] as const) {
      const response = await get(path, { method });
      expect([response.status, await response.json()], path).toEqual([
        400,
        { error: expect.any(String), code: 'invalid_request' },
      ]);
    }
    const malformed = await post('/v2/repository/index', { body: '{' });
    expect(await malformed.json()).toMatchObject({ error: expect.any(String), code: 'invalid_request' });
  });

  it('loads and unloads, with what the clients send along', async () => {
    const oipModels = fakeModels();
    front = await startFakeFront(echo, { oipModels });
    for (const body of [undefined, '', '{}', '{"parameters":{}}', '{"parameters":{"unload_dependents":false}}']) {
      for (const action of ['load', 'unload']) {
        const init = body === undefined ? {} : { body };
        expect((await post(`/v2/repository/models/team%2Fa/${action}`, init)).status).toBe(200);
      }
    }
    expect(oipModels.calls).toEqual(Array(5).fill(['load team/a', 'unload team/a']).flat());
    for (const parameters of [{ config: '{}' }, { 'file:1/model.onnx': 'AAAA' }]) {
      const refused = await post('/v2/repository/models/a/load', { body: JSON.stringify({ parameters }) });
      expect(refused.status).toBe(400);
    }
    expect(await (await post('/v2/repository/index')).json()).toEqual([{ name: 'known', state: 'READY', reason: '' }]);
    expect(await (await post('/v2/repository/index', { body: '{"ready":true}' })).json()).toHaveLength(1);
  });

  it('asks for the tokens that guard the same things elsewhere', async () => {
    const oipModels = fakeModels();
    front = await startFakeFront(echo, { authToken: 'secret', managementToken: 'boss', oipModels });
    const with_ = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });
    for (const path of ['/v2/repository/index', '/v2/repository/models/a/load', '/v2/repository/models/a/unload']) {
      for (const init of [{}, with_('secret')]) expect((await post(path, init)).status, path).toBe(401);
      expect((await post(path, with_('boss'))).status, path).toBe(200);
    }
    for (const path of ['/v2/models/known', '/v2/models/known/ready']) {
      expect((await get(path)).status, path).toBe(401);
      expect((await get(path, with_('secret'))).status, path).toBe(200);
    }
    const refused = await post('/v2/models/known/infer', { body: '{}' });
    expect(await refused.json()).toMatchObject({ error: expect.any(String), code: 'unauthorized' });
    expect((await post('/v2/models/known/infer', { body: '{}', ...with_('secret') })).status).toBe(200);
    for (const path of ['/v2', '/v2/health/live', '/v2/health/ready']) expect((await get(path)).status).toBe(200);
  });
});
