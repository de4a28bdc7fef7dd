import { readdirSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { abortError, EndpointError } from '../../../src/errors.ts';
import type { JobRequest } from '../../../src/pipeline-host/pipeline-host.ts';
import type { JobItem } from '../../../src/pipeline-host/protocol.ts';
import { type FakeFront, type FakeRun, startFakeFront } from '../../support/fake-front.ts';

let front: FakeFront;
afterEach(() => front.close());

const given = (job: JobRequest) => JSON.parse(Buffer.from(job.requests[0]?.body ?? []).toString());
const answer = (value: unknown, contentType = 'application/json'): JobItem[] => [
  { ok: true, result: { body: Buffer.from(JSON.stringify(value)), contentType }, headers: {} },
];
/** Gives back its model and the line's `n`, later lines sooner than earlier ones. */
const echo: FakeRun = async (job) => {
  const { n } = given(job);
  await sleep(Math.max(0, 30 - n * 3));
  return answer({ n, model: job.model.name });
};
const post = (body: string | Buffer, type = 'application/jsonlines', init: RequestInit = {}) =>
  fetch(`${front.url}/invocations`, { method: 'POST', headers: { 'content-type': type }, body, ...init });
const line = (n: number, more: object = {}) => JSON.stringify({ n, model: 'known', ...more });
async function linesOf(response: Response) {
  expect([response.status, response.headers.get('content-type')]).toEqual([200, 'application/jsonlines']);
  return (await response.text()).split('\n').map((text) => (text === '' ? undefined : JSON.parse(text)));
}
const error = (code: string) => ({ error: expect.objectContaining({ code, message: expect.any(String) }) });

describe('a request of JSON Lines', () => {
  it.each(['application/jsonlines', 'application/x-ndjson', 'application/jsonl; charset=utf-8'])(
    'is answered line by line, in order (%s)',
    async (type) => {
      front = await startFakeFront(echo);
      const body = Array.from({ length: 10 }, (_, n) => line(n, { model: n % 2 ? 'known-a' : 'known-b' })).join('\n');
      const answers = await linesOf(await post(body, type));
      expect(answers).toEqual(Array.from({ length: 10 }, (_, n) => ({ n, model: n % 2 ? 'known-a' : 'known-b' })));
      expect(front.pinned()).toBe(0);
      await vi.waitFor(() => expect(readdirSync(front.scratchRoot)).toEqual([]));
    },
  );

  it('has an error in the place of each bad line, and goes on', async () => {
    front = await startFakeFront(async (job, signal) => {
      const { n } = given(job);
      if (n === 1) return [{ ok: false, error: { code: 'unprocessable_image', message: 'uneven' } }];
      if (n === 2) throw new Error('a fault');
      if (n === 3) return answer('x', 'text/plain');
      if (n === 4) return [{ ok: true, result: { status: 500, contentType: 'application/json' }, headers: {} }];
      return echo(job, signal);
    });
    const bad = Buffer.concat([Buffer.from('{"n":"'), Buffer.from([0xff]), Buffer.from('"}')]);
    const good = [line(0), line(1), line(2), line(3), line(4), '{"n":', '', '   ', '[]', line(5, { model: 'other' })];
    const end = Buffer.from(`\n{"n":6}\n${line(7)}\r\n`);
    const answers = await linesOf(await post(Buffer.concat([Buffer.from(`${good.join('\n')}\n`), bad, end])));
    expect(answers).toEqual([
      { n: 0, model: 'known' },
      error('unprocessable_image'),
      error('internal'),
      error('model_failed'),
      error('model_failed'),
      error('invalid_request'),
      error('invalid_request'),
      error('invalid_request'),
      error('invalid_request'),
      error('model_not_found'),
      error('invalid_request'),
      error('invalid_request'),
      { n: 7, model: 'known' },
      undefined,
    ]);
    expect(JSON.stringify(answers)).not.toContain('SageMakerOutput');
    const text = await (await fetch(`${front.url}/metrics`)).text();
    expect(text).toContain('map_endpoint_requests_total{model="known",code="ok"} 4');
    expect(text).toContain('map_endpoint_requests_total{model="known",code="unprocessable_image"} 1');
  });

  it('ends as the request ends, and keeps an answer of several lines in one', async () => {
    front = await startFakeFront(async () => [
      { ok: true, result: { body: Buffer.from('{\n  "a": 1\n}\n'), contentType: 'application/json' }, headers: {} },
    ]);
    expect(await (await post(line(0))).text()).toBe('{"a":1}');
    expect(await (await post(`${line(0)}\n`)).text()).toBe('{"a":1}\n');
  });

  it('is worked on several lines at once, no more than there are pipelines, and waits for no slow one', async () => {
    let running = 0;
    let most = 0;
    const finished: number[] = [];
    front = await startFakeFront(async (job) => {
      most = Math.max(most, ++running);
      const { n } = given(job);
      await sleep(n === 0 ? 100 : 5);
      running--;
      finished.push(n);
      return answer({ n });
    });
    const answers = await linesOf(await post(Array.from({ length: 7 }, (_, n) => line(n)).join('\n')));
    expect(answers).toEqual(Array.from({ length: 7 }, (_, n) => ({ n })));
    expect(most).toBe(2);
    expect(finished.at(-1)).toBe(0);
  });

  it('waits where a single request would be sent away: a full queue, memory that other lines hold', async () => {
    let busy = 3;
    front = await startFakeFront(async (job, signal) => {
      if (given(job).n === 1 && busy-- > 0)
        throw new EndpointError(busy === 1 ? 'insufficient_memory' : 'overloaded', '');
      if (given(job).n === 0) await sleep(900);
      return echo(job, signal);
    });
    const answers = await linesOf(await post([line(0), line(1)].join('\n')));
    expect(answers).toEqual([0, 1].map((n) => ({ n, model: 'known' })));
  });

  it('tells of memory that nobody will free', async () => {
    front = await startFakeFront(() => Promise.reject(new EndpointError('insufficient_memory', 'too big')));
    expect(await linesOf(await post(line(0)))).toEqual([error('insufficient_memory')]);
  });

  it('gives what was done by the deadline, and says of the rest that it was not', async () => {
    front = await startFakeFront(
      (job, signal) =>
        given(job).n === 0
          ? Promise.resolve(answer({ n: 0 }))
          : new Promise((_, reject) => signal.addEventListener('abort', () => reject(abortError(signal)))),
      { timeoutSeconds: 0.3 },
    );
    const answers = await linesOf(await post([0, 1, 2, 3, 4].map((n) => line(n)).join('\n')));
    expect(answers).toEqual([{ n: 0 }, ...Array.from({ length: 4 }, () => error('deadline_exceeded'))]);
    expect(front.pinned()).toBe(0);
    await vi.waitFor(() => expect(readdirSync(front.scratchRoot)).toEqual([]));
  });

  it('is cancelled when the client goes away', async () => {
    let cancelled = 0;
    let begun = 0;
    front = await startFakeFront((_job, signal) => {
      begun++;
      return new Promise((_, reject) =>
        signal.addEventListener('abort', () => {
          cancelled++;
          reject(abortError(signal));
        }),
      );
    });
    const controller = new AbortController();
    const pending = post([0, 1, 2, 3].map((n) => line(n)).join('\n'), undefined, { signal: controller.signal });
    await vi.waitFor(() => expect(front.pinned()).toBe(2));
    controller.abort();
    await expect(pending).rejects.toThrow();
    await vi.waitFor(() => expect([cancelled, front.pinned()]).toEqual([2, 0]));
    expect(begun).toBe(2);
    await vi.waitFor(() => expect(readdirSync(front.scratchRoot)).toEqual([]));
  });

  it('is refused as a whole only for what it is as a whole', async () => {
    front = await startFakeFront(echo, { maxBodyBytes: 100_000 });
    const refused = async (body: string) => {
      const response = await post(body);
      return [response.status, ((await response.json()) as { error: { code: string } }).error.code];
    };
    expect(await refused('')).toEqual([400, 'invalid_request']);
    expect(await refused(`${line(0)}\n`.repeat(21))).toEqual([413, 'payload_too_large']);
    expect(await refused('x'.repeat(100_001))).toEqual([413, 'payload_too_large']);
  });

  it('has no answer that is longer than an answer may be: later lines say so', async () => {
    front = await startFakeFront(async (job) => answer({ n: given(job).n, data: 'x'.repeat(40_000) }), {
      maxBodyBytes: 100_000,
    });
    const answers = await linesOf(await post([0, 1, 2].map((n) => line(n)).join('\n')));
    expect(answers).toEqual([
      expect.objectContaining({ n: 0 }),
      expect.objectContaining({ n: 1 }),
      error('payload_too_large'),
    ]);
    expect(answers[2].error.message).toContain('"output"');
  });

  it('gives each line its own id, and none the id of the whole', async () => {
    const seen: { requestId: string | undefined; headers: Record<string, string> }[] = [];
    front = await startFakeFront(async (job, signal) => {
      const [request] = job.requests;
      seen.push({ requestId: request?.requestId, headers: { ...request?.headers } });
      return echo(job, signal);
    });
    const headers = {
      'content-type': 'application/jsonlines',
      accept: 'application/jsonlines',
      'x-request-id': 'batch',
      'x-amzn-sagemaker-inference-id': 'one',
    };
    await linesOf(await post([line(0), line(1)].join('\n'), undefined, { headers }));
    expect(seen.map(({ requestId }) => requestId).sort()).toEqual(['batch.1', 'batch.2']);
    for (const { headers: own } of seen) {
      expect(own).toMatchObject({ 'content-type': 'application/json', accept: 'application/json' });
      expect(own).not.toHaveProperty('x-amzn-sagemaker-inference-id');
    }
  });

  it('names bundles where the header names the archive', async () => {
    const seen: unknown[] = [];
    front = await startFakeFront(echo, {}, (target, bundle) => seen.push([target, bundle]));
    const headers = {
      'content-type': 'application/jsonlines',
      'x-amzn-sagemaker-target-model': 'known/abdomen.tar.gz',
    };
    await post([line(0, { model: 'spleen' }), line(1, { model: 'liver' })].join('\n'), undefined, { headers });
    expect(seen.sort()).toEqual([
      ['known/abdomen.tar.gz', 'liver'],
      ['known/abdomen.tar.gz', 'spleen'],
    ]);
  });
});
