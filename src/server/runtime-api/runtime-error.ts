import type { Request, Response } from 'express';
import { prepareError } from '../answer.ts';

const endpointName = /^[A-Za-z0-9](-*[A-Za-z0-9])*$/;

/** True when the path names an endpoint as SageMaker would take it; else the refusal is sent. */
export function checkEndpointName(request: Request, response: Response): boolean {
  const endpoint = request.params.endpoint as string;
  if (endpoint.length <= 63 && endpointName.test(endpoint)) return true;
  sendRuntimeError(response, 400, 'ValidationError', {
    Message: 'EndpointName must match [a-zA-Z0-9](-*[a-zA-Z0-9])* and have at most 63 characters.',
  });
  return false;
}

/** Sends what the container would have answered with an error as SageMaker gives it. */
export function sendModelError(request: Request, response: Response, thrown: unknown): void {
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

/** Sends an error as SageMaker Runtime gives it: its type in a header, its members in JSON. */
export function sendRuntimeError(response: Response, status: number, type: string, body: object): void {
  response.status(status).setHeader('x-amzn-errortype', type);
  response.json(body);
}
