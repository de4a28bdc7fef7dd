import { createReadStream } from 'node:fs';
import { type ErrorRequestHandler, Router } from 'express';
import { asEndpointError } from '../../errors.ts';
import type { HandlerAnswer } from '../answer.ts';
import { type AnswerFraming, AnswerStream, streamWithProgress, wantsProgress } from '../answer-stream.ts';
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

/** As SageMaker Runtime streams an answer: each piece the payload of a `PayloadPart`. */
const payloadParts: AnswerFraming = {
  headers: (contentType) => ({
    'content-type': 'application/vnd.amazon.eventstream',
    'x-amzn-sagemaker-content-type': contentType,
    'x-amzn-invoked-production-variant': 'AllTraffic',
  }),
  frames(piece) {
    const headers = {
      ':message-type': 'event',
      ':event-type': 'PayloadPart',
      ':content-type': 'application/octet-stream',
    };
    const count = Math.ceil(piece.length / partBytes);
    return Array.from({ length: count }, (_, n) =>
      eventStreamMessage(headers, piece.subarray(n * partBytes, (n + 1) * partBytes)),
    );
  },
};

/** What can't be told by a status any more. */
function streamError(message: string): Buffer {
  const headers = {
    ':message-type': 'exception',
    ':exception-type': 'ModelStreamError',
    ':content-type': 'application/json',
  };
  return eventStreamMessage(headers, Buffer.from(JSON.stringify({ Message: message, ErrorCode: 'StreamBroken' })));
}

/**
 * SageMaker Runtime's `InvokeEndpointWithResponseStream` for the local mode: with `Accept: application/jsonlines`
 * progress and then the answer, else the answer in parts.
 */
export function invokeEndpointStreamRouter({ invoker, progressIntervalMs }: InvokeEndpointStreamOptions): Router {
  const router = Router({ caseSensitive: true });
  router.post('/endpoints/:endpoint/invocations-response-stream', async (request, response) => {
    if (!checkEndpointName(request, response)) return;
    const stream = new AnswerStream(response, payloadParts);
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
      stream.end(streamError('The answer could not be read to its end.'));
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
