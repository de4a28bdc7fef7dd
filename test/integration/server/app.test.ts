import { readdirSync, readFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { abortError, EndpointError } from '../../../src/errors.ts';
import { type FakeFront, type FakeRun, startFakeFront } from '../../support/fake-front.ts';

let front: FakeFront;
afterEach(() => front.close());

const echo: FakeRun = async (job) => {
  const request = job.requests[0];
  const body = request?.bodyPath ? readFileSync(request.bodyPath) : (request?.body ?? new Uint8Array());
  return [{ ok: true, result: { body, contentType: 'application/octet-stream' }, headers: {} }];
};
const hang: FakeRun = (_job, signal) =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(abortError(signal))));
const target = (name: string) => ({ 'x-amzn-sagemaker-target-model': name });
const post = (path: string, init: RequestInit = {}) => fetch(front.url + path, { method: 'POST', ...init });
const codeOf = async (response: Response) => ((await response.json()) as { error: { code: string } }).error.code;

describe('POST /invocations', () => {
  it('takes the model from the header or the body', async () => {
    const seen: string[] = [];
    front = await startFakeFront(async (job, signal) => {
      seen.push(job.model.name);
      return echo(job, signal);
    });
    await post('/invocations', { headers: target('known/a.tar.gz'), body: 'x' });
    await post('/invocations', { headers: { 'content-type': 'application/json' }, body: '{"model":"known-b"}' });
    expect(seen).toEqual(['known/a', 'known-b']);
    expect(front.pinned()).toBe(0);
  });

  it('spools a big body to disk, gives it back whole, and leaves nothing behind', async () => {
    front = await startFakeFront(echo);
    const body = Buffer.alloc(3 * 1024 * 1024, 'abc');
    const response = await post('/invocations', { headers: target('known.tar.gz'), body });
    expect(Buffer.from(await response.arrayBuffer()).equals(body)).toBe(true);
    await vi.waitFor(() => expect(readdirSync(front.scratchRoot)).toEqual([]));
  });

  it('unpacks gzip, within the same limit', async () => {
    front = await startFakeFront(echo, { maxBodyBytes: 1024 * 1024 });
    const headers = { ...target('known.tar.gz'), 'content-encoding': 'gzip' };
    expect(await (await post('/invocations', { headers, body: gzipSync('plain') })).text()).toBe('plain');
    const bomb = await post('/invocations', { headers, body: gzipSync(Buffer.alloc(8 * 1024 * 1024)) });
    expect(await codeOf(bomb)).toBe('payload_too_large');
    const cut = await post('/invocations', { headers, body: gzipSync('plain').subarray(0, 8) });
    expect(await codeOf(cut)).toBe('invalid_request');
  });

  it.each([
    ['an unknown model', target('other.tar.gz'), 'x', 404, 'model_not_found'],
    ['a hostile model name', target('../x.tar.gz'), 'x', 400, 'invalid_request'],
    ['a body that is no JSON', { 'content-type': 'application/json' }, '{"model":', 400, 'invalid_request'],
    [
      'an unknown encoding',
      { ...target('known.tar.gz'), 'content-encoding': 'br' },
      'x',
      415,
      'unsupported_media_type',
    ],
    ['a body over the limit', target('known.tar.gz'), Buffer.alloc(5 * 1024 * 1024), 413, 'payload_too_large'],
  ])('refuses %s', async (_what, headers, body, status, code) => {
    front = await startFakeFront(echo);
    const response = await post('/invocations', { headers: headers as unknown as Record<string, string>, body });
    expect(response.status).toBe(status);
    expect(await codeOf(response)).toBe(code);
    await vi.waitFor(() => expect(readdirSync(front.scratchRoot)).toEqual([]));
  });

  it.each([
    ['announced', false],
    ['in chunks', true],
  ])('lets a client that sends too much (%s) read why', async (_how, chunked) => {
    front = await startFakeFront(echo, { maxBodyBytes: 1024 });
    const body = Buffer.alloc(30 * 1024 * 1024);
    for (let n = 0; n < 3; n++) {
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const headers = { ...target('known.tar.gz'), ...(chunked ? {} : { 'content-length': body.length }) };
        const options = { method: 'POST', headers, agent: false };
        httpRequest(`${front.url}/invocations`, options, (response) => resolve(response.resume().statusCode))
          .on('error', reject)
          .end(body);
      });
      expect(status).toBe(413);
    }
  });

  it('ends the work at the deadline, the model’s own when that is shorter', async () => {
    front = await startFakeFront(hang, { timeoutSeconds: 0.2 });
    const late = await post('/invocations', { headers: target('known.tar.gz'), body: 'x' });
    expect([late.status, await codeOf(late)]).toEqual([504, 'deadline_exceeded']);
    const own = await post('/invocations', { headers: target('known-slow.tar.gz'), body: 'x' });
    expect(((await own.json()) as { error: { message: string } }).error.message).toContain('map.json');
    expect(front.pinned()).toBe(0);
  });

  it('cancels the work when the client goes away', async () => {
    let cancelled = false;
    front = await startFakeFront((job, signal) => {
      signal.addEventListener('abort', () => {
        cancelled = true;
      });
      return hang(job, signal);
    });
    const controller = new AbortController();
    const pending = post('/invocations', { headers: target('known.tar.gz'), body: 'x', signal: controller.signal });
    await vi.waitFor(() => expect(front.pinned()).toBe(1));
    controller.abort();
    await expect(pending).rejects.toThrow();
    await vi.waitFor(() => expect([cancelled, front.pinned()]).toEqual([true, 0]));
  });

  it('is left at once by a client whose model still loads, and leaves nothing behind', async () => {
    front = await startFakeFront(echo);
    const controller = new AbortController();
    const body = Buffer.alloc(2 * 1024 * 1024); // in a file of the scratch folder
    const pending = post('/invocations', { headers: target('known-loading.tar.gz'), body, signal: controller.signal });
    await vi.waitFor(() => expect(readdirSync(front.scratchRoot).length).toBe(1));
    controller.abort();
    await expect(pending).rejects.toThrow();
    await vi.waitFor(() => expect([readdirSync(front.scratchRoot), front.pinned()]).toEqual([[], 0]));
  });

  it('tells in Retry-After what the queue estimates', async () => {
    front = await startFakeFront(async () => {
      throw new EndpointError('overloaded', 'The queue is full.', { details: { retryAfterSeconds: 42 } });
    });
    const refused = await post('/invocations', { headers: target('known.tar.gz'), body: 'x' });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '42']);
  });

  it('refuses new work while draining, and says so in /ping', async () => {
    front = await startFakeFront(echo);
    expect((await fetch(`${front.url}/ping`)).status).toBe(200);
    front.health.drain();
    expect((await fetch(`${front.url}/ping`)).status).toBe(503);
    const refused = await post('/invocations', { headers: target('known.tar.gz'), body: 'x' });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '5']);
  });
});

describe('local mode', () => {
  const local = { host: '127.0.0.1', storeUrl: 'http://127.0.0.1:9' };

  it('gives a container’s error as SageMaker does', async () => {
    front = await startFakeFront(echo, { local });
    const response = await post('/endpoints/any-name/invocations', { headers: target('other.tar.gz'), body: 'x' });
    expect([response.status, response.headers.get('x-amzn-errortype')]).toEqual([424, 'ModelError']);
    const body = (await response.json()) as { OriginalStatusCode: number; OriginalMessage: string };
    expect(body.OriginalStatusCode).toBe(404);
    expect(JSON.parse(body.OriginalMessage).error.code).toBe('model_not_found');
  });

  it('refuses another Host and a foreign Origin', async () => {
    front = await startFakeFront(echo, { local });
    const status = (headers: Record<string, string>) =>
      new Promise((resolve, reject) => {
        httpRequest(`${front.url}/healthz`, { headers }, (response) => resolve(response.resume().statusCode))
          .on('error', reject)
          .end();
      });
    expect(await status({ host: 'evil.example' })).toBe(403);
    expect(await status({ origin: 'https://evil.example' })).toBe(403);
    expect(await status({ host: 'runtime-localhost' })).toBe(200);
  });

  it('tells that the store is away', async () => {
    front = await startFakeFront(echo, { local });
    const response = await fetch(`${front.url}/datastore`);
    expect([response.status, await codeOf(response)]).toEqual([502, 'upstream_failed']);
  });
});

describe('the rest', () => {
  it('asks for tokens where they are set', async () => {
    front = await startFakeFront(echo, { authToken: 'secret', managementToken: 'boss' });
    expect((await post('/invocations', { headers: target('known.tar.gz'), body: 'x' })).status).toBe(401);
    const headers = { ...target('known.tar.gz'), authorization: 'Bearer secret' };
    expect((await post('/invocations', { headers, body: 'x' })).status).toBe(200);
    expect((await fetch(`${front.url}/ping`)).status).toBe(200);
    expect((await fetch(`${front.url}/models`, { headers })).status).toBe(401);
    expect((await fetch(`${front.url}/models`, { headers: { authorization: 'Bearer boss' } })).status).toBe(200);
  });

  it('counts requests by model and code, without anything of the request', async () => {
    front = await startFakeFront(echo);
    await post('/invocations', { headers: target('known.tar.gz'), body: 'x' });
    await post('/invocations', { headers: target('Doe-Jane.tar.gz'), body: 'x' });
    const text = await (await fetch(`${front.url}/metrics`)).text();
    expect(text).toContain('map_endpoint_requests_total{model="known",code="ok"} 1');
    expect(text).toContain('map_endpoint_requests_total{model="",code="model_not_found"} 1');
    expect(text).not.toContain('Doe');
  });

  it('answers an unknown path with 400, since 404 means the model', async () => {
    front = await startFakeFront(echo);
    const response = await fetch(`${front.url}/nowhere`);
    expect([response.status, await codeOf(response)]).toEqual([400, 'invalid_request']);
  });

  it('refuses a malformed load', async () => {
    front = await startFakeFront(echo);
    for (const body of ['{}', '{', '[]', '{"model_name":1,"url":"x"}']) {
      expect((await post('/models', { body })).status).toBe(400);
    }
  });
});
