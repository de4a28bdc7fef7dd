import { Router } from 'express';
import { sendAnswer } from '../answer.ts';
import type { Health } from '../health.ts';
import type { Invoker } from '../invocation.ts';

export interface ContainerRouterOptions {
  readonly health: Health;
  readonly invoker: Invoker;
  readonly maxBodyBytes: number;
  /** Jobs that may usefully run at once: what batch transform is told. */
  readonly concurrentJobs: number;
}

/** SageMaker's container contract (field-facts §2.1, §2.6): ping, invocations, batch parameters. */
export function containerRouter({ health, invoker, maxBodyBytes, concurrentJobs }: ContainerRouterOptions): Router {
  const router = Router({ caseSensitive: true });
  router.get('/ping', (_request, response) => {
    response.status(health.ready ? 200 : 503).end();
  });
  router.post('/invocations', async (request, response) => {
    await sendAnswer(response, await invoker.invoke(request));
  });
  router.get('/execution-parameters', (_request, response) => {
    response.json({
      MaxConcurrentTransforms: concurrentJobs,
      BatchStrategy: 'SINGLE_RECORD',
      MaxPayloadInMB: Math.max(1, Math.floor(maxBodyBytes / 1024 ** 2)),
    });
  });
  return router;
}
