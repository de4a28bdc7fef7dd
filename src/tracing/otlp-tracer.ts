/** The only place that loads OpenTelemetry's packages; imported when an exporter is configured. */
import {
  type Context,
  type Span as OtelSpan,
  type Tracer as OtelTracer,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { ExportResultCode, hrTimeDuration, millisToHrTime, W3CTraceContextPropagator } from '@opentelemetry/core';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import {
  defaultResource,
  detectResources,
  envDetector,
  type Resource,
  resourceFromAttributes,
} from '@opentelemetry/resources';
import { BasicTracerProvider, BatchSpanProcessor, type SpanExporter } from '@opentelemetry/sdk-trace-base';
import type { ErrorCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Span, SpanAttributes, SpanRecord, TraceContext, Tracer } from './span.ts';

const scope = { name: 'map-endpoint' };
const propagator = new W3CTraceContextPropagator();
const setter = {
  set: (carrier: Record<string, string>, key: string, value: string): void => {
    carrier[key] = value;
  },
};
const getter = {
  keys: (carrier: Record<string, string>) => Object.keys(carrier),
  get: (carrier: Record<string, string>, key: string) => carrier[key],
};
/** A collector that is away is told of once in this time, not at each batch. */
const warnEveryMs = 60_000;

/** Sends traces by OTLP over HTTP; endpoint, headers, sampler and batches are OpenTelemetry's own variables. */
export class OtlpTracer implements Tracer {
  readonly #resource: Resource;
  readonly #processor: BatchSpanProcessor;
  readonly #provider: BasicTracerProvider;
  readonly #tracer: OtelTracer;

  constructor(logger: Logger) {
    this.#resource = defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'map-endpoint' }))
      .merge(detectResources({ detectors: [envDetector] }));
    this.#processor = new BatchSpanProcessor(telling(new OTLPTraceExporter(), logger));
    this.#provider = new BasicTracerProvider({ resource: this.#resource, spanProcessors: [this.#processor] });
    this.#tracer = this.#provider.getTracer(scope.name);
  }

  request(name: string, caller: Partial<TraceContext>, attributes: SpanAttributes): Span {
    const parent = propagator.extract(ROOT_CONTEXT, caller as Record<string, string>, getter);
    return startSpan(this.#tracer, name, parent, SpanKind.SERVER, attributes);
  }

  take(record: SpanRecord): void {
    const { traceId, spanId, parentSpanId, name, attributes, failure } = record;
    const contextOf = (id: string): SpanContext => ({ traceId, spanId: id, traceFlags: TraceFlags.SAMPLED });
    const [startTime, endTime] = [millisToHrTime(record.startMs), millisToHrTime(record.endMs)];
    this.#processor.onEnd({
      name,
      kind: SpanKind.INTERNAL,
      spanContext: () => contextOf(spanId),
      parentSpanContext: { ...contextOf(parentSpanId), isRemote: true },
      startTime,
      endTime,
      duration: hrTimeDuration(startTime, endTime),
      status: { code: failure === undefined ? SpanStatusCode.UNSET : SpanStatusCode.ERROR },
      attributes: failure === undefined ? attributes : { ...attributes, 'error.type': failure },
      links: [],
      events: [],
      ended: true,
      resource: this.#resource,
      instrumentationScope: scope,
      droppedAttributesCount: 0,
      droppedEventsCount: 0,
      droppedLinksCount: 0,
    });
  }

  async close(): Promise<void> {
    await this.#provider.shutdown();
  }
}

function startSpan(
  tracer: OtelTracer,
  name: string,
  parent: Context,
  kind: SpanKind,
  attributes: SpanAttributes = {},
): Span {
  const span: OtelSpan = tracer.startSpan(name, { kind, attributes }, parent);
  const context = trace.setSpan(parent, span);
  let ended = false;
  return {
    traceId: span.spanContext().traceId,
    context: span.isRecording() ? carrierOf(context) : undefined,
    set: (more) => void span.setAttributes(more),
    child: (childName, more) => startSpan(tracer, childName, context, SpanKind.INTERNAL, more),
    end: (failure?: ErrorCode) => {
      if (ended) return;
      ended = true;
      if (failure !== undefined) span.setAttribute('error.type', failure).setStatus({ code: SpanStatusCode.ERROR });
      span.end();
    },
  };
}

function carrierOf(context: Context): TraceContext {
  const carrier: Record<string, string> = {};
  propagator.inject(context, carrier, setter);
  return carrier as unknown as TraceContext;
}

/** An exporter whose failures are logged, without their text: it names the collector. */
function telling(exporter: SpanExporter, logger: Logger): SpanExporter {
  let warnedAt = -Infinity;
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.code !== ExportResultCode.SUCCESS && performance.now() - warnedAt > warnEveryMs) {
          warnedAt = performance.now();
          logger.warn({ spans: spans.length }, 'traces could not be sent to the collector');
        }
        done(result);
      });
    },
    shutdown: () => exporter.shutdown(),
    ...(exporter.forceFlush ? { forceFlush: () => exporter.forceFlush?.() ?? Promise.resolve() } : {}),
  };
}
