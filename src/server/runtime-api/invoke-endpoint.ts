import { type ErrorRequestHandler, Router } from 'express';
import { sendAnswer } from '../answer.ts';
import type { Invoker } from '../invocation.ts';
import { checkEndpointName, sendModelError } from './runtime-error.ts';

/**
 * SageMaker Runtime's `InvokeEndpoint` for the local mode: any endpoint name is this server. What the container would
 * answer with an error arrives as SageMaker gives it: 424 `ModelError` (dicom-in-node §6).
 */
export function invokeEndpointRouter(invoker: Invoker): Router {
  const router = Router({ caseSensitive: true });
  router.post('/endpoints/:endpoint/invocations', async (request, response) => {
    if (!checkEndpointName(request, response)) return;
    const answer = await invoker.invoke(request);
    response.setHeader('x-amzn-invoked-production-variant', 'AllTraffic');
    const inferenceId = request.get('x-amzn-sagemaker-inference-id');
    if (inferenceId !== undefined) response.setHeader('x-amzn-sagemaker-inference-id', inferenceId);
    await sendAnswer(response, answer);
  });
  const modelError: ErrorRequestHandler = (thrown, request, response, _next) => {
    sendModelError(request, response, thrown);
  };
  router.use('/endpoints', modelError);
  return router;
}
