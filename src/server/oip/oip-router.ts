import { json, type Request, type Response, Router } from 'express';
import { datatypeOf } from '../../api/oip.ts';
import { EndpointError } from '../../errors.ts';
import type { LoadedModel, ModelLease } from '../../model-cache/model.ts';
import { sendAnswer } from '../answer.ts';
import type { Health } from '../health.ts';
import type { Invoker } from '../invocation.ts';
import { contextOf } from '../request-context.ts';
import { requireToken } from '../tokens.ts';
import { parseModelPath } from './model-path.ts';
import type { OipModels } from './oip-models.ts';
import { repositoryIndex } from './repository-index.ts';

export interface OipRouterOptions {
  readonly health: Health;
  readonly invoker: Invoker;
  readonly oipModels: OipModels;
  readonly authToken: string | undefined;
  /** Guards index, load and unload; without it, `authToken` does. */
  readonly managementToken: string | undefined;
}

const serverMetadata = {
  name: 'map-endpoint',
  version: '0.1.0',
  extensions: ['binary_tensor_data', 'model_repository'],
} as const;

/** The Open Inference Protocol v2 over REST (docs/oip.md), mounted under `/v2`. */
export function oipRouter(options: OipRouterOptions): Router {
  const { health, oipModels, authToken, managementToken } = options;
  const router = Router({ caseSensitive: true });
  const managed = requireToken(managementToken ?? authToken, 'Model management');
  const body = json({ limit: '64kb', type: () => true });

  router.get('/', (_request, response) => {
    response.json(serverMetadata);
  });
  router.get('/health/live', (_request, response) => {
    response.json({ live: true });
  });
  router.get('/health/ready', (_request, response) => {
    response.status(health.ready ? 200 : 503).json({ ready: health.ready });
  });
  router.post('/repository/index', managed, body, (request, response) => {
    const readyOnly = (request.body as { ready?: unknown } | undefined)?.ready === true;
    response.json(repositoryIndex(oipModels.status(), readyOnly));
  });
  router.use('/repository/models', managed, body, async (request, response, next) => {
    const { name, version, action } = parseModelPath(request.path, ['load', 'unload']);
    if (request.method !== 'POST' || action === undefined || version !== undefined) return next();
    const { signal } = contextOf(request);
    if (action === 'load') {
      refuseOverrides(request.body);
      await oipModels.load(name, signal);
    } else {
      await oipModels.unload(name, signal);
    }
    response.json({});
  });
  router.use('/models', requireToken(authToken, 'This endpoint'), async (request, response, next) => {
    const { name, version, action } = parseModelPath(request.path, ['ready', 'infer']);
    const call = { name, version, request, response };
    if (request.method === 'POST' && action === 'infer') return await infer(call, options);
    if (request.method === 'GET' && action === 'ready') return await tellReady(call, options);
    if (request.method === 'GET' && action === undefined) return await tellMetadata(call, options);
    next();
  });
  return router;
}

interface ModelCall {
  readonly name: string;
  readonly version: string | undefined;
  readonly request: Request;
  readonly response: Response;
}

async function infer(call: ModelCall, { invoker, oipModels }: OipRouterOptions): Promise<void> {
  const { request, response } = call;
  const acquire = (signal: AbortSignal): Promise<ModelLease> => acquireVersion(call, oipModels, signal);
  await sendAnswer(response, await invoker.invoke(request, acquire, 'oip'));
}

async function tellReady(call: ModelCall, { oipModels }: OipRouterOptions): Promise<void> {
  const { name, version, response } = call;
  if (!oipModels.isReady(name)) throw new EndpointError('model_not_found', 'The model is not loaded.');
  // It is loaded, so that this brings nothing in; a version must be the loaded one.
  if (version !== undefined) (await acquireVersion(call, oipModels, contextOf(call.request).signal)).release();
  response.json({ name, ready: true });
}

async function tellMetadata(call: ModelCall, { oipModels }: OipRouterOptions): Promise<void> {
  const lease = await acquireVersion(call, oipModels, contextOf(call.request).signal);
  try {
    const { signature, key } = lease.model;
    call.response.json({
      name: call.name,
      versions: [oipModels.version(key) ?? '0'],
      platform: 'onnxruntime_onnx',
      inputs: signature.inputs.map(describeTensor),
      outputs: signature.outputs.map(describeTensor),
    });
  } finally {
    lease.release();
  }
}

async function acquireVersion(call: ModelCall, oipModels: OipModels, signal: AbortSignal): Promise<ModelLease> {
  const lease = await oipModels.acquire(call.name, signal);
  contextOf(call.request).model = lease.model.name;
  if (call.version === undefined || call.version === oipModels.version(lease.model.key)) return lease;
  lease.release();
  throw new EndpointError('model_not_found', 'The model is there in another version (see its metadata).');
}

function describeTensor({ name, type, dims }: LoadedModel['signature']['inputs'][number]) {
  // A dynamic axis has a symbol or -1; the protocol knows -1 only.
  return { name, datatype: datatypeOf[type], shape: dims.map((dim) => (typeof dim === 'string' ? -1 : dim)) };
}

/** Triton's client may bring a configuration or files for a load: a model is what its archive says, and nothing else. */
function refuseOverrides(body: unknown): void {
  const parameters = (body as { parameters?: unknown } | undefined)?.parameters;
  const names = typeof parameters === 'object' && parameters !== null ? Object.keys(parameters) : [];
  if (names.some((name) => name === 'config' || name.startsWith('file:'))) {
    throw new EndpointError('invalid_request', 'A load takes neither a configuration nor files.');
  }
}
