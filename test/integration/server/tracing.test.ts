import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { writeTestFolder } from '../../support/connectors/part10-files.ts';
import { regularSlices } from '../../support/connectors/test-series.ts';
import { descendants, startTestEndpoint, type TestEndpoint } from '../../support/endpoint.ts';
import { attribute, type CollectedSpan, type Collector, startCollector } from '../../support/otlp-collector.ts';

const bundle = fileURLToPath(new URL('../../../samples/spleen_ct_demo', import.meta.url));
const slices = () => regularSlices(24, { rows: 24, columns: 24, patientId: 'PATIENT-77' });
const traceId = '0af7651916cd43dd8448eb211c80319c';
const callerSpan = 'b7ad6b7169203331';

let endpoint: TestEndpoint;
let collector: Collector;
let seriesDir: string;

async function start(env: Record<string, string>): Promise<void> {
  collector = await startCollector();
  endpoint = await startTestEndpoint(
    Object.fromEntries(Object.entries(env).map(([name, value]) => [name, value.replace('COLLECTOR', collector.url)])),
  );
  endpoint.addModel(bundle, 'spleen.tar.gz');
  seriesDir = mkdtempSync(join(endpoint.filesDir, 'Doe-Jane-'));
  writeTestFolder(seriesDir, slices());
}

const invoke = (body: object, headers: Record<string, string> = {}) =>
  endpoint.invoke('spleen.tar.gz', body, {
    headers: { 'content-type': 'application/json', 'x-amzn-sagemaker-target-model': 'spleen.tar.gz', ...headers },
  });
const good = () => ({
  inputs: [{ uri: `file://${seriesDir}/` }],
  output: { uri: `file://${endpoint.filesDir}/results` },
});

describe('with a collector', () => {
  beforeAll(() =>
    start({
      OTEL_EXPORTER_OTLP_ENDPOINT: 'COLLECTOR',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20collector-secret',
      OTEL_BSP_SCHEDULE_DELAY: '50',
      ALLOW_CUSTOM_CODE: 'true',
    }),
  );
  afterAll(async () => {
    await endpoint?.stop();
    await collector?.close();
  });

  /** The spans of a trace, once the one that ends last has come: the request's own, but for work that outlives it. */
  async function spansOf(id: string, last = 'POST /invocations'): Promise<Map<string, CollectedSpan>> {
    const own = () => collector.spans.filter((span) => span.traceId === id);
    await vi.waitFor(() => expect(own().map(({ name }) => name)).toContain(last), { timeout: 10_000 });
    return new Map(own().map((span) => [span.name, span]));
  }

  /** The parent of each span, by name. */
  function treeOf(spans: Map<string, CollectedSpan>): Record<string, string> {
    const nameOf = new Map([...spans].map(([name, { spanId }]) => [spanId, name]));
    return Object.fromEntries(
      [...spans].map(([name, { parentSpanId = '' }]) => [name, nameOf.get(parentSpanId) ?? parentSpanId]),
    );
  }

  it('continues the caller’s trace: the request, its wait, its load, and every step in the pipeline process', async () => {
    const response = await invoke(good(), {
      traceparent: `00-${traceId}-${callerSpan}-01`,
      tracestate: 'vendor=opaque',
      'x-request-id': 'traced-1',
    });
    expect(response.status, await response.clone().text()).toBe(200);
    const spans = await spansOf(traceId);
    expect(treeOf(spans)).toEqual({
      'POST /invocations': callerSpan,
      load: 'POST /invocations',
      queue: 'POST /invocations',
      pipeline: 'POST /invocations',
      dicom_data_loader: 'pipeline',
      series_selector: 'pipeline',
      series_to_volume: 'pipeline',
      bundle_inference: 'pipeline',
      preprocess: 'bundle_inference',
      inference: 'bundle_inference',
      postprocess: 'bundle_inference',
      result_to_findings: 'pipeline',
      dicom_seg_writer: 'pipeline',
      json_writer: 'pipeline',
      png_writer: 'pipeline',
      write: 'pipeline',
    });
    const request = spans.get('POST /invocations') as CollectedSpan;
    expect(request.kind).toBe(2); // SERVER
    expect(request.traceState).toBe('vendor=opaque');
    expect(attribute(request, 'map_endpoint.model')).toBe('spleen');
    expect(attribute(request, 'map_endpoint.request_id')).toBe('traced-1');
    expect(Number(attribute(request, 'http.response.status_code'))).toBe(200);
    expect(Number(attribute(spans.get('series_to_volume') as CollectedSpan, 'map_endpoint.frames'))).toBe(24);
    for (const span of spans.values()) {
      expect(BigInt(span.endTimeUnixNano), span.name).toBeGreaterThanOrEqual(BigInt(span.startTimeUnixNano));
      expect(span.status.code ?? 0, span.name).toBe(0);
      // A child lies within its request, on one clock: the processes agree to some milliseconds.
      const slackNano = 50_000_000n;
      expect(BigInt(span.startTimeUnixNano) + slackNano).toBeGreaterThan(BigInt(request.startTimeUnixNano));
      expect(BigInt(span.endTimeUnixNano) - slackNano).toBeLessThan(BigInt(request.endTimeUnixNano));
    }
    const line = endpoint
      .log()
      .split('\n')
      .find((text) => text.includes('traced-1'));
    expect(JSON.parse(line as string)).toMatchObject({ call: 'Invoke', traceId, model: 'spleen', status: 200 });
  });

  it('shows each line of a JSON Lines request, and what failed in it', async () => {
    const id = '3af7651916cd43dd8448eb211c80319c';
    const response = await endpoint.invoke('spleen.tar.gz', undefined, {
      headers: {
        'content-type': 'application/jsonlines',
        'x-amzn-sagemaker-target-model': 'spleen.tar.gz',
        traceparent: `00-${id}-${callerSpan}-01`,
      },
      body: `${JSON.stringify(good())}\nno JSON\n`,
    });
    expect((await response.text()).split('\n')).toHaveLength(3);
    const all = await spansOf(id);
    const lines = collector.spans.filter((span) => span.traceId === id && span.name === 'line');
    const failures = lines.map((span) => [attribute(span, 'map_endpoint.line'), attribute(span, 'error.type')]);
    expect(failures.map(([line, code]) => [Number(line), code]).sort()).toEqual([
      [1, undefined],
      [2, 'invalid_request'],
    ]);
    const first = lines.find((span) => Number(attribute(span, 'map_endpoint.line')) === 1) as CollectedSpan;
    for (const name of ['load', 'queue', 'pipeline']) expect(all.get(name)?.parentSpanId, name).toBe(first.spanId);
  });

  it('shows the work of custom code, and under it the bundle that it has run', async () => {
    const id = '4af7651916cd43dd8448eb211c80319c';
    const archive = mkdtempSync(join(endpoint.dataDir, 'coded-'));
    cpSync(bundle, archive, { recursive: true });
    mkdirSync(join(archive, 'code'));
    const code = 'export const handle = async ([request], context) => [await context.runBundle(request)];';
    writeFileSync(join(archive, 'code', 'handler.mjs'), code);
    endpoint.addModel(archive, 'coded.tar.gz');
    const response = await invoke(good(), {
      'x-amzn-sagemaker-target-model': 'coded.tar.gz',
      traceparent: `00-${id}-${callerSpan}-01`,
    });
    expect(response.status, await response.clone().text()).toBe(200);
    const spans = await spansOf(id);
    const queues = collector.spans.filter((span) => span.traceId === id && span.name === 'queue');
    const parents = queues.map(({ parentSpanId }) => parentSpanId);
    const [request, handler] = ['POST /invocations', 'handler'].map((name) => spans.get(name)?.spanId);
    expect(parents.sort()).toEqual([request, handler].sort());
    expect(treeOf(spans)).toMatchObject({
      load: 'POST /invocations',
      handler: 'POST /invocations',
      pipeline: 'handler',
      bundle_inference: 'pipeline',
    });
  });

  it('shows the work of a background request in the trace of the request, which is answered before', async () => {
    const id = '5af7651916cd43dd8448eb211c80319c';
    const response = await invoke(
      { ...good(), mode: 'background', inferenceId: 'traced-background' },
      { traceparent: `00-${id}-${callerSpan}-01` },
    );
    expect(response.status, await response.clone().text()).toBe(202);
    const spans = await spansOf(id, 'background');
    expect(treeOf(spans)).toMatchObject({
      load: 'POST /invocations',
      background: 'POST /invocations',
      queue: 'background',
      pipeline: 'background',
      bundle_inference: 'pipeline',
      write: 'pipeline',
    });
    const [request, work] = ['POST /invocations', 'background'].map((name) => spans.get(name) as CollectedSpan);
    expect(Number(attribute(request as CollectedSpan, 'http.response.status_code'))).toBe(202);
    expect(BigInt(work?.endTimeUnixNano ?? 0)).toBeGreaterThan(BigInt(request?.endTimeUnixNano ?? 0));
    expect(work?.status.code ?? 0).toBe(0);
  });

  it('makes the work of an asynchronous invocation a trace of its own, failed where it fails', async () => {
    const caller = '6af7651916cd43dd8448eb211c80319c';
    const submit = async (body: object): Promise<void> => {
      const response = await fetch(`${endpoint.url}/endpoints/imaging/async-invocations`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-amzn-sagemaker-content-type': 'application/json',
          traceparent: `00-${caller}-${callerSpan}-01`,
        },
        body: JSON.stringify(body),
      });
      expect(response.status, await response.clone().text()).toBe(202);
    };
    await submit({ ...good(), model: 'spleen' });
    await submit({ ...good(), model: 'absent' });
    const jobs = () => collector.spans.filter(({ name }) => name === 'async job');
    await vi.waitFor(() => expect(jobs()).toHaveLength(2), { timeout: 20_000 });
    const failures = jobs().map((span) => attribute(span, 'error.type'));
    expect(failures.sort()).toEqual(['model_not_found', undefined]);
    const done = jobs().find((span) => attribute(span, 'error.type') === undefined) as CollectedSpan;
    expect(done.parentSpanId || undefined).toBeUndefined();
    expect(done.traceId).not.toBe(caller);
    expect(attribute(done, 'map_endpoint.model')).toBe('spleen');
    const steps = collector.spans.filter(({ traceId: own }) => own === done.traceId);
    expect(treeOf(new Map(steps.map((span) => [span.name, span])))).toMatchObject({
      load: 'async job',
      queue: 'async job',
      pipeline: 'async job',
      bundle_inference: 'pipeline',
    });
    // The call itself is answered with its 202, in the caller's trace.
    const own = await spansOf(caller, 'POST /endpoints/{endpoint}/async-invocations');
    expect([...own.keys()]).toEqual(['POST /endpoints/{endpoint}/async-invocations']);
  });

  it('marks what failed, with its code', async () => {
    const id = '1af7651916cd43dd8448eb211c80319c';
    const empty = mkdtempSync(join(endpoint.filesDir, 'empty-'));
    const response = await invoke(
      { inputs: [{ uri: `file://${empty}/` }] },
      { traceparent: `00-${id}-${callerSpan}-01` },
    );
    expect(response.status).toBe(422);
    const spans = await spansOf(id);
    for (const name of ['POST /invocations', 'pipeline', 'dicom_data_loader']) {
      const span = spans.get(name) as CollectedSpan;
      expect(span.status.code, name).toBe(2); // ERROR
      expect(attribute(span, 'error.type'), name).toBe('input_not_found');
    }
    expect(spans.get('queue')?.status.code ?? 0).toBe(0);
    expect(spans.has('bundle_inference')).toBe(false);
  });

  it('keeps to the caller’s decision not to sample, and begins a trace where there is none', async () => {
    const id = '2af7651916cd43dd8448eb211c80319c';
    await invoke({ inputs: [] }, { traceparent: `00-${id}-${callerSpan}-00` });
    await invoke({ inputs: [] }, { traceparent: 'not-a-traceparent', 'x-request-id': 'fresh' });
    const fresh = () => collector.spans.filter((span) => attribute(span, 'map_endpoint.request_id') === 'fresh');
    await vi.waitFor(() => expect(fresh()).toHaveLength(1), { timeout: 10_000 });
    expect(fresh()[0]?.parentSpanId || undefined).toBeUndefined();
    expect(collector.spans.filter(({ traceId }) => traceId === id)).toEqual([]);
  });

  it('sends nothing of the patient, and the collector’s secret from the front alone', async () => {
    const sent = collector.bodies.join('\n');
    expect(sent).toContain('dicom_seg_writer');
    for (const secret of ['PATIENT-77', 'Doe', '1.2.3.4', seriesDir, 'file://', endpoint.dataDir]) {
      expect(sent).not.toContain(secret);
    }
    expect([...collector.authorizations]).toEqual(['Bearer collector-secret']);
    for (const title of ['me-session', 'me-pipeline']) {
      const pids = descendants(endpoint.process.pid as number, title);
      expect(pids.length, title).toBeGreaterThan(0);
      for (const pid of pids)
        expect(readFileSync(`/proc/${pid}/environ`, 'utf8'), title).not.toContain('collector-secret');
    }
  });

  it('goes on when the collector is away', async () => {
    await collector.close();
    expect((await invoke(good())).status).toBe(200);
    await vi.waitFor(() => expect(endpoint.log()).toContain('traces could not be sent'), { timeout: 30_000 });
  });
});

describe('without an exporter', () => {
  beforeAll(() => start({ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'COLLECTOR' }));
  afterAll(async () => {
    await endpoint?.stop();
    await collector?.close();
  });

  it('sends nothing, and still logs the caller’s trace', async () => {
    const headers = { traceparent: `00-${traceId}-${callerSpan}-01`, 'x-request-id': 'untraced' };
    expect((await invoke(good(), headers)).status).toBe(200);
    await endpoint.stop();
    expect(collector.bodies).toEqual([]);
    const line = endpoint
      .log()
      .split('\n')
      .find((text) => text.includes('untraced'));
    expect(JSON.parse(line as string)).toMatchObject({ traceId });
  });
});
