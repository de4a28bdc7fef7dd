import { randomUUID } from 'node:crypto';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { type Logger, loggableError } from '../../logger.ts';
import { ServiceError } from '../service-error.ts';

/** An operation: its answer is sent as JSON unless it sent one itself. */
export type Operation = (request: Request, response: Response) => Promise<unknown> | unknown;

/** Gives every answer its request id. */
export const requestId: RequestHandler = (_request, response, next) => {
  response.setHeader('x-amzn-requestid', randomUUID());
  next();
};

/** Makes an express handler of an operation. */
export function operation(run: Operation): RequestHandler {
  return async (request, response, next) => {
    try {
      const answer = await run(request, response);
      if (!response.headersSent) response.status(200).json(answer);
    } catch (error) {
      next(error);
    }
  };
}

/** Answers with the service's error form: name in `x-amzn-errortype`, message in the body. */
export function errorHandler(logger: Logger) {
  return (error: unknown, _request: Request, response: Response, _next: NextFunction): void => {
    const known = error instanceof ServiceError ? error : fromBodyParser(error);
    if (!known) logger.error({ error: loggableError(error) }, 'store request failed');
    const { name, status, message } =
      known ?? new ServiceError('InternalServerException', 'An unexpected fault; the log of the server has its trace.');
    if (response.headersSent) {
      response.destroy();
      return;
    }
    response.setHeader('x-amzn-errortype', name);
    response.status(status).json({ message });
  };
}

/** The body parser's refusals: no JSON, or too big. */
function fromBodyParser(error: unknown): ServiceError | undefined {
  if (!(error instanceof Error) || !('type' in error) || typeof error.type !== 'string') return undefined;
  const isTooLarge = error.type === 'entity.too.large';
  return new ServiceError('ValidationException', isTooLarge ? 'The body is too large.' : 'The body is no valid JSON.');
}
