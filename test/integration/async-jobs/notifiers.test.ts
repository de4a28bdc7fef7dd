import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { notificationOf } from '../../../src/async-jobs/notification.ts';
import { FileNotifier, WebhookNotifier } from '../../../src/async-jobs/notifiers.ts';

const message = notificationOf(
  {
    jobId: 'job',
    inferenceId: 'id',
    endpointName: 'e',
    receivedAtMs: 0,
    ttlSeconds: 60,
    timeoutSeconds: 60,
    inputUri: 's3://b/in',
    headers: { 'content-type': 'text/csv' },
    outputUri: 's3://b/o.out',
    failureUri: 's3://b/e.out',
  },
  { ok: true, contentType: 'application/json' },
  { region: 'eu-west-1', nowMs: 1000 },
);
const { signal } = new AbortController();
let server: Server | undefined;
afterEach(() => server?.close());

/** A webhook that answers with these statuses, one after the other. */
async function webhook(
  statuses: number[],
): Promise<{ url: string; seen: { headers: IncomingHttpHeaders; body: string }[] }> {
  const seen: { headers: IncomingHttpHeaders; body: string }[] = [];
  server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    seen.push({ headers: request.headers, body });
    response.writeHead(statuses.shift() ?? 200, { connection: 'close' }).end('ok');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`, seen };
}

describe('WebhookNotifier', () => {
  it('posts the message as SNS does with raw delivery, again until it is taken', async () => {
    const { url, seen } = await webhook([500, 503, 204]);
    await new WebhookNotifier(url, { waitsMs: [1, 1, 1] }).notify('job', message, signal);
    expect(seen).toHaveLength(3);
    expect(JSON.parse(seen[2]?.body as string)).toEqual(message);
    expect(seen[2]?.headers).toMatchObject({ 'x-amz-sns-message-id': 'job', 'x-amz-sns-rawdelivery': 'true' });
  });

  it('gives up after its attempts, and does not follow a redirect', async () => {
    const { url, seen } = await webhook([500, 302, 404]);
    const told = new WebhookNotifier(url, { waitsMs: [1] }).notify('job', message, signal);
    await expect(told).rejects.toMatchObject({ code: 'upstream_failed' });
    expect(seen).toHaveLength(2);
  });
});

describe('FileNotifier', () => {
  it('appends a line for each, after a torn one too', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'notifier-'));
    const path = join(dir, 'told.jsonl');
    const notifier = new FileNotifier(path);
    await Promise.all([notifier.notify('a', message), notifier.notify('b', message)]);
    appendFileSync(path, '{"awsRegion"');
    await notifier.notify('c', message);
    const lines = readFileSync(path, 'utf8').split('\n');
    expect(lines).toEqual([
      JSON.stringify(message),
      JSON.stringify(message),
      '{"awsRegion"',
      JSON.stringify(message),
      '',
    ]);
    rmSync(dir, { recursive: true });
  });
});

it("has the fields of SageMaker's message", () => {
  expect(message).toEqual({
    awsRegion: 'eu-west-1',
    eventTime: '1970-01-01T00:00:01.000Z',
    receivedTime: '1970-01-01T00:00:00.000Z',
    invocationStatus: 'Completed',
    requestParameters: { contentType: 'text/csv', endpointName: 'e', inputLocation: 's3://b/in' },
    responseParameters: { contentType: 'application/json', outputLocation: 's3://b/o.out' },
    inferenceId: 'id',
    eventVersion: '1.0',
    eventSource: 'aws:sagemaker',
    eventName: 'InferenceResult',
  });
});
