import type { NextFunction, Request, Response } from 'express';
import type { Logger } from '../logger.ts';
import { contextOf } from './request-context.ts';

/** Probes are too many to be worth a line each. */
const quietPaths = new Set(['/ping', '/healthz', '/readyz', '/metrics', '/v2/health/live', '/v2/health/ready']);

/** One line for each finished request: never its path, query or body, which can hold names. */
export function accessLog(logger: Logger) {
  return function accessLogMiddleware(request: Request, response: Response, next: NextFunction): void {
    const context = contextOf(request);
    response.once('close', () => {
      if (quietPaths.has(request.path)) return;
      logger.info(
        {
          requestId: context.requestId,
          method: request.method,
          call: callName(request.path),
          status: response.statusCode,
          finished: response.writableFinished,
          ms: Math.round(performance.now() - context.startedAt),
          ...(context.model === undefined ? {} : { model: context.model }),
          ...(context.errorCode === undefined ? {} : { code: context.errorCode }),
        },
        'request',
      );
    });
    next();
  };
}

/** The call by its first path segment, when it is one of ours. */
function callName(path: string): string {
  const first = path.split('/')[1] ?? '';
  return ['invocations', 'models', 'endpoints', 'execution-parameters', 'v2'].includes(first) ? first : 'unknown';
}
