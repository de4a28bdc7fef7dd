import type { ErrorCode } from '../errors.ts';

/** W3C trace context as it stands in headers and in messages between processes. */
export interface TraceContext {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** What may stand in a span besides its name: model names, digests, request ids, codes, counts. Never patient data. */
export type SpanAttributes = Readonly<Record<string, string | number>>;

/** A stretch of work in a trace. */
export interface Span {
  /** 32 hex digits; undefined when nothing is recorded. */
  readonly traceId: string | undefined;
  /** By which another process continues the trace; undefined when nothing is recorded. */
  readonly context: TraceContext | undefined;
  set(attributes: SpanAttributes): void;
  /** Begins a part of this work. */
  child(name: string, attributes?: SpanAttributes): Span;
  /** Ends it; with a code it failed. A second call does nothing. */
  end(failure?: ErrorCode): void;
}

/** A span that ended, as a pipeline process sends it to the front. */
export interface SpanRecord {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** Epoch milliseconds. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: SpanAttributes;
  readonly failure?: ErrorCode;
}

/** Where a process' traces go. */
export interface Tracer {
  /** Begins the span of a request, as a part of the caller's trace where its headers name one. */
  request(name: string, caller: Partial<TraceContext>, attributes: SpanAttributes): Span;
  /** Sends on a span that another process recorded. */
  take(record: SpanRecord): void;
  /** Sends what is left. */
  close(): Promise<void>;
}

/** Stands for every span when nothing is traced. */
export const noSpan: Span = {
  traceId: undefined,
  context: undefined,
  set: () => undefined,
  child: () => noSpan,
  end: () => undefined,
};

export const noTracer: Tracer = {
  request: () => noSpan,
  take: () => undefined,
  close: async () => undefined,
};
