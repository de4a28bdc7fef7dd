import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import express from 'express';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenApiDocument } from '../../../src/server/openapi/document.ts';
import { writeTree } from '../../support/archives.ts';
import { writeTestFolder } from '../../support/connectors/part10-files.ts';
import { regularSlices } from '../../support/connectors/test-series.ts';
import { startTestEndpoint, type TestEndpoint } from '../../support/endpoint.ts';
import { startFakeFront } from '../../support/fake-front.ts';
import { type Exchange, OpenApiCheck } from '../../support/openapi-check.ts';
import { identityNetwork, tensorBundle } from '../../support/tensor-bundles.ts';

const bundle = fileURLToPath(new URL('../../../samples/spleen_ct_demo', import.meta.url));
const json = { 'content-type': 'application/json' };

describe('the OpenAPI document', () => {
  let endpoint: TestEndpoint;
  let document: OpenApiDocument;
  let check: OpenApiCheck;
  const recorded: Exchange[] = [];

  beforeAll(async () => {
    endpoint = await startTestEndpoint({ MANAGEMENT_TOKEN: 'boss', MAX_BODY_BYTES: '1000000' });
    document = (await (await fetch(`${endpoint.url}/openapi.json`)).json()) as OpenApiDocument;
    check = new OpenApiCheck(document);
  });
  afterAll(() => endpoint?.stop());

  async function record(method: string, path: string, init: RequestInit & { body?: string } = {}): Promise<Exchange> {
    const response = await fetch(endpoint.url + path, { method, ...init });
    const exchange: Exchange = {
      method,
      path: new URL(response.url).pathname,
      requestType: new Headers(init.headers).get('content-type') ?? undefined,
      requestBody: init.body,
      status: response.status,
      responseType: response.headers.get('content-type') ?? undefined,
      responseBody: Buffer.from(await response.arrayBuffer()).toString('latin1'),
    };
    recorded.push(exchange);
    return exchange;
  }

  it('describes what is really asked and answered, good and bad', async () => {
    endpoint.addModel(bundle, 'spleen.tar.gz');
    writeFileSync(join(endpoint.modelsDir, 'broken.tar.gz'), 'no archive');
    const folder = writeTestFolder(join(endpoint.filesDir, 'series'), regularSlices(8, { rows: 16, columns: 16 }));
    const empty = mkdtempSync(join(endpoint.filesDir, 'empty-'));
    mkdirSync(join(endpoint.modelsDir, 'unpacked'));
    const inputs = [{ uri: `file://${folder}/` }];
    const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
      record('POST', path, { headers: { ...json, ...headers }, body: JSON.stringify(body) });
    const target = (name: string) => ({ 'x-amzn-sagemaker-target-model': name });
    const boss = { authorization: 'Bearer boss' };

    // Good ones.
    for (const path of [
      '/ping',
      '/healthz',
      '/readyz',
      '/metrics',
      '/execution-parameters',
      '/openapi.json',
      '/docs',
    ]) {
      expect((await record('GET', path)).status, path).toBe(200);
    }
    expect((await post('/invocations', { inputs, model: 'spleen' })).status).toBe(200);
    const output = { uri: `file://${endpoint.filesDir}/results` };
    expect((await post('/invocations', { inputs, output, inferenceId: 'one' }, target('spleen.tar.gz'))).status).toBe(
      200,
    );
    const background = { inputs, output, model: 'spleen', inferenceId: 'later', mode: 'background' };
    expect((await post('/invocations', background)).status).toBe(202);
    expect((await post('/endpoints/any/async-invocations', { inputs, model: 'spleen' })).status).toBe(202);
    for (const accept of ['application/zip', 'multipart/related']) {
      expect((await post('/invocations', { inputs, model: 'spleen' }, { accept })).status, accept).toBe(200);
    }
    expect((await post('/endpoints/any/invocations', { inputs, model: 'spleen' })).status).toBe(200);
    const lines = { 'content-type': 'application/jsonlines' };
    const body = `${JSON.stringify({ inputs, model: 'spleen' })}\nno JSON\n`;
    expect((await record('POST', '/invocations', { headers: lines, body })).status).toBe(200);
    const jsonlines = 'application/jsonlines';
    expect((await post('/invocations', { inputs, model: 'spleen' }, { accept: jsonlines })).status).toBe(200);
    for (const accept of ['application/json', jsonlines]) {
      const headers = { 'x-amzn-sagemaker-accept': accept };
      const streamed = await post('/endpoints/any/invocations-response-stream', { inputs, model: 'spleen' }, headers);
      expect(streamed.status, accept).toBe(200);
    }
    expect((await record('GET', '/models', { headers: boss })).status).toBe(200);

    writeTree(join(endpoint.modelsDir, 'identity'), tensorBundle(identityNetwork('float32', [2])));
    const tensor = { name: 'INPUT0', datatype: 'FP32', shape: [2] };
    expect((await post('/v2/models/identity/infer', { inputs: [{ ...tensor, data: [1, 2] }] })).status).toBe(200);
    for (const path of ['', '/health/live', '/health/ready', '/models/identity', '/models/identity/ready']) {
      expect((await record('GET', `/v2${path}`)).status, path).toBe(200);
    }
    const tensors = { inputs: [{ ...tensor, data: [1, 2] }], model: 'identity' };
    expect((await post('/invocations', tensors)).status).toBe(200);
    expect((await post('/v2/repository/index', {}, boss)).status).toBe(200);
    for (const action of ['load', 'unload']) {
      expect((await post(`/v2/repository/models/identity/${action}`, {}, boss)).status, action).toBe(200);
    }

    // Bad ones.
    const refused: [Promise<Exchange>, number][] = [
      [post('/invocations', { inputs: [], model: 'spleen' }), 400],
      [post('/invocations', { inputs: [{ uri: 'file:///etc/' }], model: 'spleen' }), 403],
      [post('/invocations', { inputs }, target('absent.tar.gz')), 404],
      [post('/invocations', { inputs, output, inferenceId: 'one', model: 'spleen', extra: 1 }), 400],
      [post('/invocations', { inputs: [inputs[0], inputs[0]], output, inferenceId: 'one', model: 'spleen' }), 409],
      [record('POST', '/invocations', { headers: json, body: 'x'.repeat(1_000_001) }), 413],
      [record('POST', '/invocations', { headers: { ...json, 'content-encoding': 'br' }, body: 'x' }), 415],
      [post('/invocations', { inputs: [{ uri: `file://${empty}/` }], model: 'spleen' }), 422],
      [post('/invocations', { inputs }, target('broken.tar.gz')), 422],
      [post('/endpoints/any/invocations', { inputs }, target('absent.tar.gz')), 424],
      [post('/endpoints/-/invocations', { inputs }), 400],
      [post('/endpoints/any/invocations-response-stream', { inputs }, target('absent.tar.gz')), 424],
      [post('/endpoints/-/invocations-response-stream', { inputs }), 400],
      [record('POST', '/invocations', { headers: lines, body: '' }), 400],
      [post('/endpoints/-/async-invocations', { inputs }), 400],
      [record('POST', '/endpoints/any/async-invocations', { headers: json, body: '' }), 400],
      [post('/v2/models/identity/infer', { inputs: [{ ...tensor, data: [1] }] }), 400],
      [record('GET', '/v2/models/absent'), 404],
      [post('/v2/repository/index', {}), 401],
      [record('GET', '/models'), 401],
      [record('GET', '/models?limit=0', { headers: boss }), 400],
      [record('GET', '/models/absent', { headers: boss }), 404],
      [record('DELETE', '/models/absent', { headers: boss }), 404],
      [post('/models', { model_name: 'x' }, boss), 400],
      [post('/models', { model_name: 'x', url: '/etc' }, boss), 403],
      [post('/models/absent/invoke', { inputs }), 404],
    ];
    for (const [exchange, status] of refused) {
      const { method, path, responseBody, ...given } = await exchange;
      expect(given.status, `${method} ${path} ${responseBody}`).toBe(status);
    }
    expect(recorded.flatMap((exchange) => check.problems(exchange))).toEqual([]);
  }, 120_000);

  it('is a check that can fail', () => {
    const good = recorded.find(({ path, status }) => path === '/invocations' && status === 200) as Exchange;
    const answer = JSON.parse(good.responseBody) as Record<string, unknown>;
    const without = { ...answer, inferenceId: undefined };
    expect(check.problems({ ...good, responseBody: JSON.stringify(without) })).not.toEqual([]);
    expect(check.problems({ ...good, responseBody: JSON.stringify({ ...answer, more: 1 }) })).not.toEqual([]);
    expect(check.problems({ ...good, requestBody: '{"inputs":[]}' })).not.toEqual([]);
    expect(check.problems({ ...good, status: 418 })).toHaveLength(1);
    expect(check.problems({ ...good, path: '/nowhere' })).toHaveLength(1);
  });

  it('takes and refuses the bodies that the server does', () => {
    const id = 'a'.repeat(32);
    const bodies: [object, boolean][] = [
      [{ datastoreId: id, imageSetId: id }, true],
      [{ inputs: [{ datastoreId: id, imageSetId: id, seriesInstanceUid: '1.2.3' }] }, true],
      [{ inputs: [{ datastoreId: 'short', imageSetId: id }] }, false],
      [{ inputs: [{ uri: 's3://bucket/folder/' }], unknown: true }, false],
      [{ inputs: [{ uri: 's3://bucket/folder/', seriesInstanceUid: 'x' }] }, false],
      [{}, false],
    ];
    for (const [body, taken] of bodies) {
      expect(check.takes('POST', '/invocations', body), JSON.stringify(body)).toBe(taken);
    }
  });

  it('is shown on a page that needs nothing else', async () => {
    const response = await fetch(`${endpoint.url}/docs`);
    const page = await response.text();
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(page).not.toMatch(/<script|<link|<img|src=|url\(|@import|https?:/i);
    for (const methods of Object.values(document.paths)) {
      for (const { operationId } of Object.values(methods)) expect(page).toContain(`id="${operationId}"`);
    }
  });
});

/** Described calls that have no route of express: a router takes their paths apart itself. */
const withoutRoute: readonly string[] = [
  'post /v2/repository/models/{name}/load',
  'post /v2/repository/models/{name}/unload',
  ...['/v2/models/{name}', '/v2/models/{name}/versions/{version}'].flatMap((path) => [
    `get ${path}`,
    `get ${path}/ready`,
    `post ${path}/infer`,
  ]),
];

describe.each(['serve', 'local'])('the routes of %s', (mode) => {
  it('are those of the document, no more and no fewer', async () => {
    const { stop, routes } = recordMounts();
    const local = { host: '127.0.0.1', storeUrl: 'http://127.0.0.1:9' };
    const asyncJobs = {
      jobs: { submit: async () => undefined },
      checkInput: async () => undefined,
      outputUri: 'file:///out/',
      failureUri: 'file:///failed/',
    };
    const front = await startFakeFront(async () => [], mode === 'local' ? { local, asyncJobs } : {});
    stop();
    const document = (await (await fetch(`${front.url}/openapi.json`)).json()) as OpenApiDocument;
    await front.close();
    const described = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path}`),
    );
    expect(described.sort()).toEqual([...routes(front.app), ...withoutRoute].sort());
    expect(new Set(described).size).toBe(described.length);
  });
});

interface Layer {
  readonly route?: { readonly path: string; readonly methods: Readonly<Record<string, boolean>> };
  readonly handle: object & { readonly stack?: readonly Layer[] };
}

/** Notes under which path each router is mounted, which express itself forgets; then lists all routes of an app. */
function recordMounts() {
  const prefixes = new Map<object, string>();
  const prototype = express.Router.prototype as { use: (...given: unknown[]) => unknown };
  const { use } = prototype;
  prototype.use = function recordingUse(this: unknown, ...given: unknown[]) {
    if (typeof given[0] === 'string' && given[0] !== '/')
      for (const handle of given.slice(1)) prefixes.set(handle as object, given[0]);
    return use.apply(this, given);
  };
  const walk = (stack: readonly Layer[], prefix: string): string[] =>
    stack.flatMap(({ route, handle }) => {
      if (route) {
        const path = (prefix + route.path).replace(/(?<=.)\/$/, '').replace(/:(\w+)/g, '{$1}');
        return Object.keys(route.methods).map((method) => `${method} ${path}`);
      }
      return handle.stack ? walk(handle.stack, prefix + (prefixes.get(handle) ?? '')) : [];
    });
  return {
    stop: () => {
      prototype.use = use;
    },
    routes: (app: express.Express) => walk((app as unknown as { router: { stack: Layer[] } }).router.stack, ''),
  };
}
