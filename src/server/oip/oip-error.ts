import type { Request, Response } from 'express';
import { prepareError } from '../answer.ts';

/** True for the paths of the Open Inference Protocol. */
export const isOipPath = (path: string): boolean => path === '/v2' || path.startsWith('/v2/');

/** Sends an error as the protocol wants it: `error` is its message. Our code and details stand beside it. */
export function sendOipError(request: Request, response: Response, thrown: unknown): void {
  const error = prepareError(request, response, thrown);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { message, ...rest } = error.toJSON();
  response.status(error.status).json({ error: message, ...rest });
}
