import type { NextFunction, Request, RequestHandler, Response, Router } from 'express';

/**
 * Enters a router for its own paths only, which it sees whole: a router that finds nothing costs each request a turn of
 * the event loop.
 *
 * @param prefixes - first segments of the router's paths, with their slash
 * @returns shows the router's own layers, as a router does
 */
export function under(prefixes: readonly string[], router: Router): RequestHandler & Pick<Router, 'stack'> {
  const wanted = new Set(prefixes.map((prefix) => prefix.toLowerCase()));
  const middleware = (request: Request, response: Response, next: NextFunction): unknown => {
    const { path } = request;
    const end = path.indexOf('/', 1);
    return wanted.has((end < 0 ? path : path.slice(0, end)).toLowerCase()) ? router(request, response, next) : next();
  };
  return Object.assign(middleware, { stack: router.stack });
}
