import { randomBytes } from 'node:crypto';
import type { ErrorCode } from '../errors.ts';
import { noSpan, type Span, type SpanAttributes, type SpanRecord, type TraceContext } from './span.ts';
import { formatTraceParent, parseTraceParent } from './traceparent.ts';

/** Receives each span at its end. */
type Emit = (record: SpanRecord) => void;

/**
 * Continues a trace in a process that exports nothing itself: its spans are handed over as plain records, so that the
 * exporter, and the credentials that it may have, stay in the front.
 *
 * @param context - the front's span of this job; undefined: nothing is recorded
 * @returns a span that stands for the front's own; its `end` does nothing
 */
export function continueTrace(context: TraceContext | undefined, emit: Emit): Span {
  const parent = parseTraceParent(context?.traceparent);
  if (!context || !parent?.sampled) return noSpan;
  const { traceId, spanId } = parent;
  return {
    traceId,
    context,
    set: () => undefined,
    child: (name, attributes) => new RecordedSpan({ traceId, parentSpanId: spanId, name, context, emit }, attributes),
    end: () => undefined,
  };
}

interface Recorded {
  readonly traceId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** The context that the trace came in with: its `tracestate` goes on unchanged. */
  readonly context: TraceContext;
  readonly emit: Emit;
}

class RecordedSpan implements Span {
  readonly #recorded: Recorded;
  readonly #spanId = randomBytes(8).toString('hex');
  readonly #startMs = epochMs();
  readonly #attributes: Record<string, string | number>;
  #ended = false;

  constructor(recorded: Recorded, attributes: SpanAttributes = {}) {
    this.#recorded = recorded;
    this.#attributes = { ...attributes };
  }

  get traceId(): string {
    return this.#recorded.traceId;
  }

  get context(): TraceContext {
    const { traceId, context } = this.#recorded;
    return { ...context, traceparent: formatTraceParent({ traceId, spanId: this.#spanId, sampled: true }) };
  }

  set(attributes: SpanAttributes): void {
    Object.assign(this.#attributes, attributes);
  }

  child(name: string, attributes?: SpanAttributes): Span {
    return new RecordedSpan({ ...this.#recorded, parentSpanId: this.#spanId, name }, attributes);
  }

  end(failure?: ErrorCode): void {
    if (this.#ended) return;
    this.#ended = true;
    const { traceId, parentSpanId, name, emit } = this.#recorded;
    emit({
      traceId,
      spanId: this.#spanId,
      parentSpanId,
      name,
      startMs: this.#startMs,
      endMs: epochMs(),
      attributes: this.#attributes,
      ...(failure === undefined ? {} : { failure }),
    });
  }
}

/** Epoch milliseconds with fractions, steady within the process. */
const epochMs = (): number => performance.timeOrigin + performance.now();
