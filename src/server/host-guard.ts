import type { NextFunction, Request, Response } from 'express';
import { isOwnHost } from '../api/own-host.ts';
import { EndpointError } from '../errors.ts';

/**
 * Refuses a Host that is neither loopback nor the host that we were told to serve, and a foreign Origin: a web page
 * in the user's browser must not reach a laptop's endpoint (DNS rebinding, cross-site requests).
 */
export function hostGuard(servedHost: string) {
  return function hostGuardMiddleware(request: Request, _response: Response, next: NextFunction): void {
    if (!isOwnHost(request.headers.host, servedHost)) {
      throw new EndpointError('forbidden', 'The Host header names another host than this endpoint (see --host).');
    }
    const origin = request.headers.origin;
    if (origin !== undefined && !isOwnHost(hostOfOrigin(origin), servedHost)) {
      throw new EndpointError('forbidden', 'Requests from the pages of other sites are refused.');
    }
    next();
  };
}

function hostOfOrigin(origin: string): string | undefined {
  return /^https?:\/\/([^/]+)$/.exec(origin)?.[1];
}
