import type { Response } from 'express';

/** An error as SageMaker Runtime gives it: its type in a header, its members in JSON. */
export function sendRuntimeError(response: Response, status: number, type: string, body: object): void {
  response.status(status).setHeader('x-amzn-errortype', type);
  response.json(body);
}

const namePattern = /^[A-Za-z0-9](-*[A-Za-z0-9])*$/;

/** True for a name that SageMaker lets an endpoint have; any of them is this server. */
export const isEndpointName = (name: string): boolean => name.length <= 63 && namePattern.test(name);

export const endpointNameRule = 'EndpointName must match [a-zA-Z0-9](-*[a-zA-Z0-9])* and have at most 63 characters.';
