import type { NextFunction, Request, Response } from 'express';
import type { Logger } from '../logger.ts';
import { contextOf } from './request-context.ts';
import { isQuiet } from './request-span.ts';

/**
 * One line for each finished request: never its path, query or body, which can hold names; nor its inference id, which
 * the caller chooses.
 */
export function accessLog(logger: Logger) {
  return function accessLogMiddleware(request: Request, response: Response, next: NextFunction): void {
    const context = contextOf(request);
    response.once('close', () => {
      if (context.call !== undefined && isQuiet(context.call.operation)) return;
      logger.info(
        {
          requestId: context.requestId,
          method: request.method,
          call: context.call?.operation ?? 'unknown',
          ...(context.traceId === undefined ? {} : { traceId: context.traceId }),
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
