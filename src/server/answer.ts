import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import type { Request, Response } from 'express';
import { asEndpointError, type EndpointError } from '../errors.ts';
import type { JobItem } from '../pipeline-host/protocol.ts';
import { contextOf } from './request-context.ts';

/** What a handler gave for one request, with the headers it set. */
export type HandlerAnswer = Extract<JobItem, { ok: true }>;

/** Sends a handler's result: bytes, or a file of the scratch folder as a stream. */
export async function sendAnswer(response: Response, { result, headers }: HandlerAnswer): Promise<void> {
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.status(result.status ?? 200).setHeader('content-type', result.contentType);
  if (result.bodyPath === undefined) {
    response.end(result.body ?? new Uint8Array());
    return;
  }
  response.setHeader('content-length', (await stat(result.bodyPath)).size);
  await pipeline(createReadStream(result.bodyPath), response);
}

/** Headers of an error answer, and what becomes of a body that was not read to its end. */
export function prepareError(request: Request, response: Response, thrown: unknown): EndpointError {
  const error = asEndpointError(thrown);
  contextOf(request).errorCode = error.code;
  if (error.code === 'overloaded') response.setHeader('retry-after', retryAfterSeconds(error));
  if (error.code === 'unauthorized') response.setHeader('www-authenticate', 'Bearer');
  if (!request.complete) discardRest(request);
  return error;
}

/** Where nobody could say how long: a drain, a queue about which nothing is known yet. */
const defaultRetryAfterSeconds = 5;

function retryAfterSeconds(error: EndpointError): string {
  const { retryAfterSeconds: told } = error.details ?? {};
  return String(typeof told === 'number' ? told : defaultRetryAfterSeconds);
}

/** What a client may still send of a body that was refused, before it has read why. */
const discardBytes = 256 * 1024 ** 2;
const discardMs = 10_000;

/**
 * Reads and drops the rest of a refused body: to close the connection under a client that still sends would lose the
 * answer. Who goes on for too long is cut off.
 */
function discardRest(request: Request): void {
  let leftBytes = discardBytes;
  const timer = setTimeout(() => request.destroy(), discardMs);
  request.on('data', (chunk: Buffer) => {
    leftBytes -= chunk.length;
    if (leftBytes < 0) request.destroy();
  });
  request.once('close', () => clearTimeout(timer));
  request.once('end', () => clearTimeout(timer));
  request.resume();
}

/** Sends `{ "error": { code, message, details } }` with the code's status. */
export function sendError(request: Request, response: Response, thrown: unknown): void {
  const error = prepareError(request, response, thrown);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  response.status(error.status).json({ error });
}
