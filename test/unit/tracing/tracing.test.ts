import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config.ts';
import { EndpointError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/logger.ts';
import { openTracer } from '../../../src/tracing/open-tracer.ts';
import { noSpan, noTracer, type SpanRecord } from '../../../src/tracing/span.ts';
import { continueTrace } from '../../../src/tracing/span-recorder.ts';
import { traced } from '../../../src/tracing/traced.ts';
import { formatTraceParent, parseTraceParent } from '../../../src/tracing/traceparent.ts';

const traceId = '0af7651916cd43dd8448eb211c80319c';
const spanId = 'b7ad6b7169203331';
const traceparent = `00-${traceId}-${spanId}-01`;

describe('traceparent', () => {
  it('reads what it writes', () => {
    expect(parseTraceParent(traceparent)).toEqual({ traceId, spanId, sampled: true });
    expect(formatTraceParent({ traceId, spanId, sampled: false })).toBe(`00-${traceId}-${spanId}-00`);
  });

  it.each([
    undefined,
    '',
    'x',
    traceparent.toUpperCase(),
    `ff-${traceId}-${spanId}-01`,
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `${traceparent}-more`,
  ])('refuses %s', (header) => {
    expect(parseTraceParent(header)).toBeUndefined();
  });
});

describe('continueTrace', () => {
  it('hands over a tree of spans at their ends, each once', async () => {
    const records: SpanRecord[] = [];
    const job = continueTrace({ traceparent, tracestate: 'a=b' }, (record) => records.push(record));
    const outer = job.child('outer', { 'map_endpoint.frames': 3 });
    const failing = traced(outer.child('inner'), () => Promise.reject(new EndpointError('model_failed', 'no')));
    await expect(failing).rejects.toThrow('no');
    outer.end();
    outer.end('internal');
    expect(records.map(({ name }) => name)).toEqual(['inner', 'outer']);
    const [inner, ended] = records as [SpanRecord, SpanRecord];
    expect(inner).toMatchObject({ traceId, parentSpanId: ended.spanId, failure: 'model_failed' });
    expect(ended).toMatchObject({ traceId, parentSpanId: spanId, attributes: { 'map_endpoint.frames': 3 } });
    expect(ended.failure).toBeUndefined();
    expect(ended.startMs).toBeLessThanOrEqual(inner.startMs);
    expect(Math.abs(ended.endMs - Date.now())).toBeLessThan(1000);
    expect(outer.context).toEqual({ traceparent: `00-${traceId}-${ended.spanId}-01`, tracestate: 'a=b' });
  });

  it('records nothing without a context, or when the caller does not sample', () => {
    const emit = () => expect.unreachable();
    expect(continueTrace(undefined, emit)).toBe(noSpan);
    expect(continueTrace({ traceparent: `00-${traceId}-${spanId}-00` }, emit)).toBe(noSpan);
    expect(noSpan.child('x').child('y')).toBe(noSpan);
  });
});

describe('the settings', () => {
  const logger = createLogger('front', 'silent');
  const tracing = (env: Record<string, string>) => parseConfig(env, 'serve').tracing;

  it('is off without an exporter', async () => {
    expect(tracing({})).toBe(false);
    expect(await openTracer({ enabled: false, logger })).toBe(noTracer);
    expect(noTracer.request('x', {}, {})).toBe(noSpan);
  });

  it.each([
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, true],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:4318/v1/traces' }, true],
    [{ OTEL_TRACES_EXPORTER: 'otlp' }, true],
    [{ OTEL_TRACES_EXPORTER: 'none', OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, false],
    [{ OTEL_TRACES_EXPORTER: 'otlp', OTEL_SDK_DISABLED: 'true' }, false],
    [{ OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' }, false],
  ] as [Record<string, string>, boolean][])('%o: %s', (env, on) => {
    expect(tracing(env)).toBe(on);
  });

  it('refuses what it cannot do', () => {
    expect(() => tracing({ OTEL_TRACES_EXPORTER: 'zipkin' })).toThrow('OTEL_TRACES_EXPORTER');
    expect(() => tracing({ OTEL_TRACES_EXPORTER: 'otlp', OTEL_EXPORTER_OTLP_PROTOCOL: 'grpc' })).toThrow('http/json');
  });
});
