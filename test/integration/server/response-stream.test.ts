import { tmpdir } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  InvokeEndpointWithResponseStreamCommand,
  ModelError,
  ModelStreamError,
  SageMakerRuntimeClient,
} from '@aws-sdk/client-sagemaker-runtime';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { abortError, EndpointError } from '../../../src/errors.ts';
import { type FakeFront, type FakeRun, startFakeFront } from '../../support/fake-front.ts';

let front: FakeFront;
afterEach(() => front.close());

const local = { host: '127.0.0.1', storeUrl: 'http://127.0.0.1:9' };
const json = 'application/json';
/** Tells its progress a hundred times in 300 ms, then gives what it got, or fails. */
const working =
  (error?: EndpointError): FakeRun =>
  async (job, _signal, onProgress) => {
    for (let n = 0; n < 100; n++) {
      onProgress?.(n / 100, n < 50 ? 'preprocess' : 'inference');
      await sleep(3);
    }
    if (error) throw error;
    const { accept } = job.requests[0]?.headers ?? {};
    const body = Buffer.from(JSON.stringify({ model: job.model.name, accept }));
    return [{ ok: true, result: { body, contentType: json }, headers: {} }];
  };
const post = (headers: Record<string, string>, body = '{"model":"known"}', init: RequestInit = {}) =>
  fetch(`${front.url}/invocations`, { method: 'POST', headers: { 'content-type': json, ...headers }, body, ...init });
const linesOf = (text: string) => {
  expect(text.endsWith('\n')).toBe(true);
  return text
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line));
};

describe('an answer in JSON Lines', () => {
  it('tells the progress at a bounded rate, and ends with the answer', async () => {
    front = await startFakeFront(working(), { progressIntervalMs: 50 });
    const response = await post({ accept: 'application/jsonlines' });
    expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/jsonlines']);
    const lines = linesOf(await response.text());
    expect(lines.pop()).toEqual({ model: 'known', accept: json });
    // About 300 ms of work: not a line for each of the hundred steps, and more than the one at the start.
    expect(lines.length).toBeGreaterThanOrEqual(3);
    expect(lines.length).toBeLessThan(40);
    expect(lines[0]).toEqual({ progress: { phase: 'preprocess', fraction: 0 } });
    expect(lines.at(-1).progress.phase).toBe('inference');
  });

  it('sends the first line long before the last', async () => {
    front = await startFakeFront(working(), { progressIntervalMs: 50 });
    const startedAt = performance.now();
    const response = await post({ accept: 'application/jsonlines' });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    await reader.read();
    const firstMs = performance.now() - startedAt;
    while (!(await reader.read()).done);
    expect(performance.now() - startedAt - firstMs).toBeGreaterThan(100);
  });

  it('ends with the error when the work fails, and with a status when it fails before', async () => {
    front = await startFakeFront(working(new EndpointError('model_failed', 'no')), { progressIntervalMs: 50 });
    const response = await post({ accept: 'application/jsonlines' });
    expect(response.status).toBe(200);
    const lines = linesOf(await response.text());
    expect(lines.at(-1)).toEqual({ error: { code: 'model_failed', message: 'no' } });
    expect(lines.filter((line) => 'error' in line)).toHaveLength(1);
    expect((await post({ accept: 'application/jsonlines' }, '{"model":"other"}')).status).toBe(404);
  });

  it.each([
    ['another Accept', { accept: 'application/zip, application/jsonlines' }, {}],
    ['JSON Lines both ways', { accept: 'application/jsonlines', 'content-type': 'application/jsonlines' }, {}],
    ['a batch job', { accept: 'application/jsonlines' }, { batch: {} }],
  ])('is no place for progress with %s', async (_, headers, options) => {
    front = await startFakeFront(working(), { progressIntervalMs: 50, ...options });
    const text = await (await post(headers)).text();
    expect(text).toContain('"model":"known"');
    expect(text).not.toContain('progress');
  });

  it('is cancelled when the client goes away in the middle of it', async () => {
    let cancelled = false;
    front = await startFakeFront(
      (_job, signal, onProgress) =>
        new Promise((_, reject) => {
          onProgress?.(0.1, 'inference');
          signal.addEventListener('abort', () => {
            cancelled = true;
            reject(abortError(signal));
          });
        }),
    );
    const controller = new AbortController();
    const response = await post({ accept: 'application/jsonlines' }, undefined, { signal: controller.signal });
    expect(response.status).toBe(200);
    controller.abort();
    await vi.waitFor(() => expect([cancelled, front.pinned()]).toEqual([true, 0]));
  });
});

describe('InvokeEndpointWithResponseStream', () => {
  const invoke = async (accept: string | undefined, body = '{"model":"known"}') => {
    const client = new SageMakerRuntimeClient({
      endpoint: front.url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
      maxAttempts: 1,
    });
    const parts: Buffer[] = [];
    const given = { EndpointName: 'any', ContentType: json, Body: Buffer.from(body) };
    const command = new InvokeEndpointWithResponseStreamCommand(accept ? { ...given, Accept: accept } : given);
    try {
      const { Body, ContentType, InvokedProductionVariant } = await client.send(command);
      for await (const { PayloadPart } of Body ?? [])
        if (PayloadPart?.Bytes) parts.push(Buffer.from(PayloadPart.Bytes));
      return { ContentType, InvokedProductionVariant, parts, text: Buffer.concat(parts).toString() };
    } finally {
      client.destroy();
    }
  };

  it('gives progress and the answer to the JavaScript SDK', async () => {
    front = await startFakeFront(working(), { local, progressIntervalMs: 50 });
    const { text, ...told } = await invoke('application/jsonlines');
    expect(told).toMatchObject({ ContentType: 'application/jsonlines', InvokedProductionVariant: 'AllTraffic' });
    const lines = linesOf(text);
    expect(lines.pop()).toEqual({ model: 'known', accept: json });
    expect(lines.length).toBeGreaterThanOrEqual(3);
  });

  it('gives a plain answer in parts', async () => {
    const body = Buffer.alloc(200_000, 'abc');
    front = await startFakeFront(async () => [{ ok: true, result: { body, contentType: 'text/plain' }, headers: {} }], {
      local,
    });
    const { parts, ContentType } = await invoke(undefined);
    expect(ContentType).toBe('text/plain');
    expect(parts.length).toBe(4);
    expect(Buffer.concat(parts).equals(body)).toBe(true);
  });

  it('gives errors as SageMaker does: before the stream, and in it', async () => {
    const result = { bodyPath: tmpdir(), contentType: json };
    front = await startFakeFront(async () => [{ ok: true, result, headers: {} }], { local });
    await expect(invoke(undefined)).rejects.toBeInstanceOf(ModelStreamError);
    const thrown = await invoke(undefined, '{"model":"other"}').catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(ModelError);
    expect((thrown as ModelError).OriginalStatusCode).toBe(404);
  });
});
