import { Router } from 'express';
import type { BatchSettings } from '../../api/batch-settings.ts';
import { sendAnswer } from '../answer.ts';
import { AnswerStream, streamWithProgress, wantsProgress } from '../answer-stream.ts';
import type { Health } from '../health.ts';
import type { Invoker } from '../invocation.ts';
import { executionParameters } from './execution-parameters.ts';

export interface ContainerRouterOptions {
  readonly health: Health;
  readonly invoker: Invoker;
  readonly maxBodyBytes: number;
  /** Jobs that may usefully run at once. */
  readonly concurrentJobs: number;
  /** What a batch transform job says about itself. */
  readonly batch: BatchSettings | undefined;
  readonly progressIntervalMs?: number;
}

/** SageMaker's container contract (field-facts §2.1, §2.6): ping, invocations, batch parameters. */
export function containerRouter({
  health,
  invoker,
  progressIntervalMs,
  ...parameters
}: ContainerRouterOptions): Router {
  const router = Router({ caseSensitive: true });
  router.get('/ping', (_request, response) => {
    response.status(health.ready ? 200 : 503).end();
  });
  router.post('/invocations', async (request, response) => {
    // A batch job puts what we answer into files, a line for a line of its input: no place for progress.
    if (!parameters.batch && wantsProgress(request)) {
      await streamWithProgress(request, new AnswerStream(response), invoker, progressIntervalMs);
    } else {
      await sendAnswer(response, await invoker.invoke(request));
    }
  });
  router.get('/execution-parameters', (_request, response) => {
    response.json(executionParameters(parameters));
  });
  return router;
}
