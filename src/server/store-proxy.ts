import { request as httpRequest } from 'node:http';
import type { RequestHandler } from 'express';
import { EndpointError } from '../errors.ts';

/** First path segments of HealthImaging's API (field-facts §1.3), and of its DICOMweb. */
const storePaths = /^\/(datastore|startDICOMImportJob|getDICOMImportJob|listDICOMImportJobs|tags)(\/|\?|$)/;
const hopByHop = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te', 'trailer']);

/**
 * Passes HealthImaging's paths on to the store's own process, so that one port serves every SDK and the front does
 * none of the store's work.
 *
 * @param storeUrl - `http://127.0.0.1:port` of the store
 */
export function storeProxy(storeUrl: string): RequestHandler {
  const target = new URL(storeUrl);
  return function storeProxyMiddleware(request, response, next) {
    if (!storePaths.test(request.url)) {
      next();
      return;
    }
    const headers = { ...request.headers, host: target.host, 'x-forwarded-host': request.headers.host };
    const upstream = httpRequest(
      { host: target.hostname, port: target.port, method: request.method, path: request.url, headers },
      (answer) => {
        response.status(answer.statusCode ?? 502);
        for (const [name, value] of Object.entries(answer.headers)) {
          if (value !== undefined && !hopByHop.has(name)) response.setHeader(name, value);
        }
        answer.pipe(response);
        answer.on('error', () => response.destroy());
      },
    );
    upstream.on('error', (cause) => {
      if (response.headersSent) response.destroy();
      else next(new EndpointError('upstream_failed', 'The local store does not answer.', { cause }));
    });
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  };
}
