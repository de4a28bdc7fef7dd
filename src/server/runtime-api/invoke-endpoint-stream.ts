import { createReadStream } from 'node:fs';
import { type ErrorRequestHandler, type Response, Router } from 'express';
import { asEndpointError } from '../../errors.ts';
import type { HandlerAnswer } from '../answer.ts';
import { type AnswerStream, streamWithProgress, wantsProgress } from '../answer-stream.ts';
import type { Invoker } from '../invocation.ts';
import { contextOf } from '../request-context.ts';
import { eventStreamMessage } from './event-stream.ts';
import { checkEndpointName, sendModelError } from './runtime-error.ts';

export interface InvokeEndpointStreamOptions {
  readonly invoker: Invoker;
  readonly progressIntervalMs?: number;
}

/** Payload of one part. */
const partBytes = 64 * 1024;

/** An answer as SageMaker Runtime streams it: each piece the payload of a `PayloadPart`. */
class EventAnswerStream implements AnswerStream {
  readonly #response: Response;

  constructor(response: Response) {
    this.#response = response;
  }

  get begun(): boolean {
    return this.#response.headersSent;
  }

  begin(contentType: string, headers: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(headers)) this.#response.setHeader(name, value);
    this.#response.setHeader('x-amzn-sagemaker-content-type', contentType);
    this.#response.setHeader('x-amzn-invoked-production-variant', 'AllTraffic');
    this.#response.status(200).setHeader('content-type', 'application/vnd.amazon.eventstream');
    this.#response.flushHeaders();
  }

  write(bytes: Uint8Array): boolean {
    const headers = {
      ':message-type': 'event',
      ':event-type': 'PayloadPart',
      ':content-type': 'application/octet-stream',
    };
    let flows = true;
    for (let at = 0; at < bytes.length; at += partBytes) {
      flows = this.#response.write(eventStreamMessage(headers, bytes.subarray(at, at + partBytes)));
    }
    return flows;
  }

  /** What can't be told by a status any more. */
  fail(message: string): void {
    const headers = {
      ':message-type': 'exception',
      ':exception-type': 'ModelStreamError',
      ':content-type': 'application/json',
    };
    const body = JSON.stringify({ Message: message, ErrorCode: 'StreamBroken' });
    this.#response.end(eventStreamMessage(headers, Buffer.from(body)));
  }

  end(): void {
    this.#response.end();
  }
}

/**
 * SageMaker Runtime's `InvokeEndpointWithResponseStream` for the local mode: with `Accept: application/jsonlines`
 * progress and then the answer, else the answer in parts.
 */
export function invokeEndpointStreamRouter({ invoker, progressIntervalMs }: InvokeEndpointStreamOptions): Router {
  const router = Router({ caseSensitive: true });
  router.post('/endpoints/:endpoint/invocations-response-stream', async (request, response) => {
    if (!checkEndpointName(request, response)) return;
    const stream = new EventAnswerStream(response);
    const accept = request.get('x-amzn-sagemaker-accept');
    if (wantsProgress(request, accept)) {
      await streamWithProgress(request, stream, invoker, progressIntervalMs);
      return;
    }
    const answer = await invoker.invoke(request, { headers: { accept: accept ?? '*/*' } });
    try {
      await sendParts(stream, answer);
    } catch (thrown) {
      if (!stream.begun) throw thrown;
      contextOf(request).errorCode = asEndpointError(thrown).code;
      stream.fail('The answer could not be read to its end.');
    }
  });
  const modelError: ErrorRequestHandler = (thrown, request, response, _next) => {
    sendModelError(request, response, thrown);
  };
  router.use('/endpoints', modelError);
  return router;
}

async function sendParts(stream: AnswerStream, { result, headers }: HandlerAnswer): Promise<void> {
  stream.begin(result.contentType, headers);
  if (result.bodyPath === undefined) stream.write(result.body ?? new Uint8Array());
  else for await (const chunk of createReadStream(result.bodyPath)) stream.write(chunk as Buffer);
  stream.end();
}
