import { type ErrorRequestHandler, type Request, type Response, Router } from 'express';
import { prepareError, sendAnswer } from '../answer.ts';
import type { Invoker } from '../invocation.ts';
import { endpointNameRule, isEndpointName, sendRuntimeError } from './runtime-error.ts';

/**
 * SageMaker Runtime's `InvokeEndpoint` for the local mode: any endpoint name is this server. What the container would
 * answer with an error arrives as SageMaker gives it: 424 `ModelError` (dicom-in-node §6).
 */
export function invokeEndpointRouter(invoker: Invoker): Router {
  const router = Router({ caseSensitive: true });
  router.post('/endpoints/:endpoint/invocations', async (request, response) => {
    const endpoint = request.params.endpoint as string;
    if (!isEndpointName(endpoint)) {
      sendRuntimeError(response, 400, 'ValidationError', { Message: endpointNameRule });
      return;
    }
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

function sendModelError(request: Request, response: Response, thrown: unknown): void {
  const error = prepareError(request, response, thrown);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const originalMessage = JSON.stringify({ error });
  sendRuntimeError(response, 424, 'ModelError', {
    Message: `Received server error (${error.status}) from model with message "${originalMessage}".`,
    OriginalStatusCode: error.status,
    OriginalMessage: originalMessage,
    LogStreamArn: '',
  });
}
