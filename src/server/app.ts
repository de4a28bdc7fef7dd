import express, { type ErrorRequestHandler, type Express } from 'express';
import type { BatchSettings } from '../api/batch-settings.ts';
import { asEndpointError, EndpointError } from '../errors.ts';
import { type Logger, loggableError } from '../logger.ts';
import type { Tracer } from '../tracing/span.ts';
import { accessLog } from './access-log.ts';
import { sendError } from './answer.ts';
import { callNames, healthImagingCalls } from './call-names.ts';
import { type Health, probesRouter } from './health.ts';
import { hostGuard } from './host-guard.ts';
import type { Invoker } from './invocation.ts';
import type { EndpointMetrics } from './metrics.ts';
import type { ManagedRegistry } from './model-registry.ts';
import { isOipPath, sendOipError } from './oip/oip-error.ts';
import type { OipModels } from './oip/oip-models.ts';
import { oipRouter } from './oip/oip-router.ts';
import { descriptionRouter } from './openapi/description-router.ts';
import { contextOf, requestContext } from './request-context.ts';
import { requestSpan } from './request-span.ts';
import { routesOf } from './routes.ts';
import { invokeEndpointRouter } from './runtime-api/invoke-endpoint.ts';
import { type AsyncInvocations, invokeEndpointAsyncRouter } from './runtime-api/invoke-endpoint-async.ts';
import { invokeEndpointStreamRouter } from './runtime-api/invoke-endpoint-stream.ts';
import { containerRouter } from './sagemaker/container.ts';
import { modelsRouter } from './sagemaker/models.ts';
import { storeProxy } from './store-proxy.ts';
import { requireToken } from './tokens.ts';
import { under } from './under.ts';

export interface AppOptions {
  readonly logger: Logger;
  readonly health: Health;
  readonly invoker: Invoker;
  readonly metrics: EndpointMetrics;
  readonly tracer: Tracer;
  readonly registry: ManagedRegistry;
  readonly oipModels: OipModels;
  readonly timeoutSeconds: number;
  readonly maxBodyBytes: number;
  readonly concurrentJobs: number;
  readonly batch: BatchSettings | undefined;
  /** Least time between two progress lines of an answer. Default 500. */
  readonly progressIntervalMs?: number;
  readonly scratchRoot: string;
  readonly authToken: string | undefined;
  readonly managementToken: string | undefined;
  /** Local mode: the host that is served (others are refused) and where the embedded store listens. */
  readonly local?: { readonly host: string; readonly storeUrl: string };
  /** Local mode: the queue behind `InvokeEndpointAsync`. */
  readonly asyncJobs?: AsyncInvocations;
}

/** The front's HTTP application; it can be called without a socket listening anywhere. */
export function createApp(options: AppOptions): Express {
  const { health, invoker } = options;
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.set('query parser', 'simple');

  const routes = routesOf(options.local ? 'local' : 'serve');
  app.use(requestContext({ ...options, callOf: callNames([...routes, ...(options.local ? healthImagingCalls : [])]) }));
  app.use(requestSpan(options.tracer));
  app.use(accessLog(options.logger));
  if (options.local) app.use(hostGuard(options.local.host), storeProxy(options.local.storeUrl));
  app.use(under(['/healthz', '/readyz'], probesRouter(health)));
  app.get('/metrics', async (_request, response) => {
    const text = await options.metrics.text();
    response.setHeader('content-type', options.metrics.contentType);
    response.end(text);
  });
  app.use(under(['/openapi.json', '/docs'], descriptionRouter(routes)));
  app.use((request, _response, next) => {
    if (health.draining && request.method === 'POST') {
      throw new EndpointError('overloaded', 'The server is shutting down.');
    }
    next();
  });
  app.use(['/invocations', '/endpoints'], requireToken(options.authToken, 'This endpoint'));
  app.use(under(['/ping', '/invocations', '/execution-parameters'], containerRouter(options)));
  app.use(under(['/models'], modelsRouter(options)));
  if (options.asyncJobs) app.use(under(['/endpoints'], invokeEndpointAsyncRouter(options.asyncJobs)));
  app.use('/v2', oipRouter(options));
  if (options.local) {
    app.use(under(['/endpoints'], invokeEndpointStreamRouter(options)));
    app.use(under(['/endpoints'], invokeEndpointRouter(invoker)));
  }
  app.use((request) => {
    throw new EndpointError('invalid_request', `${request.method} on this path is not part of the API.`);
  });
  app.use(lastErrorHandler(options.logger));
  return app;
}

function lastErrorHandler(logger: Logger): ErrorRequestHandler {
  return (thrown, request, response, _next) => {
    const error = asEndpointError(isHttpError(thrown) ? fromBodyParser(thrown) : thrown);
    if (error.code === 'internal') {
      logger.error({ requestId: contextOf(request).requestId, error: loggableError(thrown) }, 'request failed');
    }
    if (isOipPath(request.path)) sendOipError(request, response, error);
    else sendError(request, response, error);
  };
}

interface HttpError {
  readonly status: number;
  readonly type?: string;
}

function isHttpError(thrown: unknown): thrown is HttpError {
  return thrown instanceof Error && 'status' in thrown && typeof thrown.status === 'number' && 'expose' in thrown;
}

/** express' own body parser and router throw errors with a status. */
function fromBodyParser(error: HttpError): EndpointError {
  if (error.status === 413) return new EndpointError('payload_too_large', 'The body is too large for this call.');
  if (error.status === 415)
    return new EndpointError('unsupported_media_type', 'The encoding of the body is not supported.');
  return new EndpointError('invalid_request', 'The request is malformed: its path or JSON body cannot be read.');
}
