import { createHash, timingSafeEqual } from 'node:crypto';
import type { NextFunction, Request, Response } from 'express';
import { EndpointError } from '../errors.ts';

const digest = (text: string): Buffer => createHash('sha256').update(text).digest();

/**
 * Asks for `Authorization: Bearer <token>`, compared in constant time. Without a token set, everyone passes (SageMaker
 * guards its containers itself; a laptop listens on loopback).
 */
export function requireToken(token: string | undefined, what: string) {
  const expected = token === undefined ? undefined : digest(`Bearer ${token}`);
  return function requireTokenMiddleware(request: Request, _response: Response, next: NextFunction): void {
    if (expected && !timingSafeEqual(expected, digest(request.get('authorization') ?? ''))) {
      throw new EndpointError('unauthorized', `${what} needs "Authorization: Bearer <token>".`);
    }
    next();
  };
}
