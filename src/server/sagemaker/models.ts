import { json, Router } from 'express';
import { describeIssues } from '../../api/invocation.ts';
import { loadModelSchema } from '../../api/wire-schemas.ts';
import { EndpointError } from '../../errors.ts';
import { sendAnswer } from '../answer.ts';
import type { Invoker } from '../invocation.ts';
import type { ManagedRegistry } from '../model-registry.ts';
import { contextOf } from '../request-context.ts';
import { requireToken } from '../tokens.ts';
import { targetModelHeader } from '../wanted-model.ts';

export interface ModelsRouterOptions {
  readonly registry: ManagedRegistry;
  readonly invoker: Invoker;
  readonly authToken: string | undefined;
  /** Guards loading, listing and unloading; without it, `authToken` does. */
  readonly managementToken: string | undefined;
}

/** SageMaker's multi-model container API (field-facts §2.2): load, list, describe, unload, invoke. */
export function modelsRouter({ registry, invoker, authToken, managementToken }: ModelsRouterOptions): Router {
  const router = Router({ caseSensitive: true });
  const managed = requireToken(managementToken ?? authToken, 'Model management');

  router.post('/models', managed, json({ limit: '64kb', type: () => true }), async (request, response) => {
    const parsed = loadModelSchema.safeParse(request.body);
    if (!parsed.success) {
      throw new EndpointError('invalid_request', `The body is not valid: ${describeIssues(parsed.error)}.`);
    }
    const { signal } = contextOf(request);
    await registry.load(parsed.data.model_name, parsed.data.url, request.get(targetModelHeader), signal);
    response.json({});
  });

  router.get('/models', managed, (request, response) => {
    const { next_page_token: token, limit } = request.query;
    response.json(registry.list(singleValue(token, 'next_page_token'), singleValue(limit, 'limit')));
  });

  router.get('/models/:name', managed, (request, response) => {
    response.json(registry.describe(request.params.name as string));
  });

  router.delete('/models/:name', managed, async (request, response) => {
    await registry.unload(request.params.name as string);
    response.json({});
  });

  router.post('/models/:name/invoke', requireToken(authToken, 'This endpoint'), async (request, response) => {
    const name = request.params.name as string;
    const answer = await invoker.invoke(request, {
      // Not loaded is the whole request's 404, on which SageMaker acts, also where each line has its own answer.
      check: () => void registry.describe(name),
      acquire: async (_signal, bundle) => registry.acquire(name, bundle),
    });
    await sendAnswer(response, answer);
  });
  return router;
}

function singleValue(value: unknown, name: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value;
  throw new EndpointError('invalid_request', `${name} is given more than once.`);
}
