import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { NextFunction, Request, Response } from 'express';
import { EndpointError, type ErrorCode } from '../errors.ts';
import { noSpan, type Span } from '../tracing/span.ts';
import type { NamedCall } from './call-names.ts';
import { ScratchSweep } from './scratch-sweep.ts';

/** What every request carries through the front. */
export interface RequestContext {
  readonly requestId: string;
  readonly startedAt: number;
  /** Epoch milliseconds. */
  readonly deadline: number;
  /** Aborted when the deadline passes or the client goes away; its reason is an {@link EndpointError}. */
  readonly signal: AbortSignal;
  /** Folder of this request; whoever needs it makes it, it is removed when the answer is out. */
  readonly scratchDir: string;
  /** Has the scratch folder removed, which nobody uses any more. */
  readonly discardScratch: () => void;
  /** True while a job uses the scratch folder. */
  working: boolean;
  /** True when nobody waits for the answer any more, whether it was sent or not. */
  closed: boolean;
  /** Which call it is; undefined for what is no part of the API. */
  readonly call: NamedCall | undefined;
  /** 32 hex digits: the caller's trace, or the one that was begun for it. */
  traceId: string | undefined;
  /** The request's place in a trace; begun by `requestSpan`. */
  span: Span;
  /** Known after routing; for the log and metrics. */
  model?: string;
  /** Error code of the answer, for the log and metrics. */
  errorCode?: ErrorCode;
}

const contexts = new WeakMap<Request, RequestContext>();

/** Context of a request that passed {@link requestContext}. */
export function contextOf(request: Request): RequestContext {
  const context = contexts.get(request);
  if (!context) throw new EndpointError('internal', 'The request has no context.');
  return context;
}

export interface RequestContextOptions {
  readonly timeoutSeconds: number;
  /** Parent folder of the requests' scratch folders. */
  readonly scratchRoot: string;
  readonly callOf: (method: string, path: string) => NamedCall | undefined;
}

/** Gives each request its id, deadline, cancellation and scratch folder. */
export function requestContext(options: RequestContextOptions) {
  const sweep = new ScratchSweep(options.scratchRoot);
  return function requestContextMiddleware(request: Request, response: Response, next: NextFunction): void {
    const requestId = requestIdOf(request);
    const controller = new AbortController();
    const scratchDir = join(options.scratchRoot, randomUUID());
    const context: RequestContext = {
      requestId,
      startedAt: performance.now(),
      deadline: Date.now() + options.timeoutSeconds * 1000,
      signal: controller.signal,
      scratchDir,
      discardScratch: () => sweep.discard(scratchDir),
      working: false,
      closed: false,
      call: options.callOf(request.method, request.path),
      traceId: undefined,
      span: noSpan,
    };
    contexts.set(request, context);
    response.setHeader('x-request-id', requestId);
    const timer = setTimeout(() => {
      const message = `The request took longer than ${options.timeoutSeconds} s.`;
      controller.abort(new EndpointError('deadline_exceeded', message));
    }, options.timeoutSeconds * 1000);
    response.once('close', () => {
      clearTimeout(timer);
      context.closed = true;
      if (!response.writableFinished) {
        controller.abort(new EndpointError('deadline_exceeded', 'The client closed the connection.'));
      }
      // A cancelled job may still write for a moment: its folder goes when it has ended (see invocation.ts).
      if (!context.working) context.discardScratch();
    });
    next();
  };
}

/** The caller's request id when it is harmless to log and echo, else a new one. */
function requestIdOf(request: Request): string {
  const given = request.get('x-request-id') ?? request.get('x-amzn-requestid');
  return given !== undefined && /^[A-Za-z0-9._-]{1,64}$/.test(given) ? given : randomUUID();
}
