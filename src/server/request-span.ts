import type { NextFunction, Request, Response } from 'express';
import type { Tracer } from '../tracing/span.ts';
import { parseTraceParent } from '../tracing/traceparent.ts';
import { contextOf } from './request-context.ts';

/** Begins the span of each request that is worth one, as a part of the caller's trace; it ends with the answer. */
export function requestSpan(tracer: Tracer) {
  return function requestSpanMiddleware(request: Request, response: Response, next: NextFunction): void {
    const context = contextOf(request);
    const traceparent = request.get('traceparent');
    context.traceId = parseTraceParent(traceparent)?.traceId;
    if (context.call === undefined || isQuiet(context.call.operation)) {
      next();
      return;
    }
    const { operation, route } = context.call;
    const tracestate = request.get('tracestate');
    const span = tracer.request(
      `${request.method} ${route}`,
      { ...(traceparent === undefined ? {} : { traceparent }), ...(tracestate === undefined ? {} : { tracestate }) },
      {
        'http.request.method': request.method,
        'http.route': route,
        'map_endpoint.call': operation,
        'map_endpoint.request_id': context.requestId,
      },
    );
    context.span = span;
    context.traceId = span.traceId ?? context.traceId;
    response.once('close', () => {
      span.set({ 'http.response.status_code': response.statusCode });
      const code = context.errorCode ?? (response.writableFinished ? undefined : 'deadline_exceeded');
      span.end(code);
    });
    next();
  };
}

/** Probes and scrapes are too many to be worth a line or a span each. */
const quiet = new Set(['Ping', 'GetLiveness', 'GetReadiness', 'GetMetrics', 'ServerLive', 'ServerReady']);
export const isQuiet = (operation: string): boolean => quiet.has(operation);
