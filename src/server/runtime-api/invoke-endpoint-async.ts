import { randomUUID } from 'node:crypto';
import { type ErrorRequestHandler, type Request, Router } from 'express';
import { type AsyncInvocationHeaders, parseAsyncHeaders } from '../../api/async-invocation.ts';
import type { AsyncJob } from '../../async-jobs/async-job.ts';
import type { AsyncJobs } from '../../async-jobs/async-jobs.ts';
import { EndpointError } from '../../errors.ts';
import { prepareError } from '../answer.ts';
import { receiveBody } from '../request-body.ts';
import { contextOf } from '../request-context.ts';
import { targetModelHeader } from '../wanted-model.ts';
import { checkEndpointName, sendRuntimeError } from './runtime-error.ts';

export interface AsyncInvocations {
  readonly jobs: Pick<AsyncJobs, 'submit'>;
  /**
   * Refuses an InputLocation outside of what requests may name.
   *
   * @throws EndpointError `forbidden`, `invalid_request`
   */
  readonly checkInput: (uri: string) => Promise<unknown>;
  /** Prefixes of answers and errors, with their trailing slash. */
  readonly outputUri: string;
  readonly failureUri: string;
}

/** The service model's bound of an inline body. */
const maxInlineBytes = 128_000;

/**
 * SageMaker Runtime's `InvokeEndpointAsync` for the local mode (dicom-in-node §6): the job is kept, then acknowledged with
 * the places where its answer, or its error, will appear. There is no TargetModel: the body's `model` names the model.
 */
export function invokeEndpointAsyncRouter(options: AsyncInvocations): Router {
  const router = Router({ caseSensitive: true });
  const path = '/endpoints/:endpoint/async-invocations';
  router.post(path, async (request, response) => {
    if (!checkEndpointName(request, response)) return;
    const headers = parseAsyncHeaders((name) => request.get(name));
    const body = await inlineBody(request, headers);
    if (headers.inputUri !== undefined) await options.checkInput(headers.inputUri);
    const job = jobOf(request, headers, options);
    await options.jobs.submit(job, body);
    response.status(202);
    response.setHeader('x-amzn-sagemaker-outputlocation', job.outputUri);
    response.setHeader('x-amzn-sagemaker-failurelocation', job.failureUri);
    response.json({ InferenceId: job.inferenceId });
  });
  const runtimeError: ErrorRequestHandler = (thrown, request, response, _next) => {
    const error = prepareError(request, response, thrown);
    if (error.code === 'overloaded') {
      sendRuntimeError(response, 503, 'ServiceUnavailable', { Message: error.message });
    } else if (error.status >= 500) {
      sendRuntimeError(response, 500, 'InternalFailure', { Message: error.message });
    } else {
      sendRuntimeError(response, 400, 'ValidationError', { Message: error.message });
    }
  };
  router.use(path, runtimeError);
  return router;
}

/** The body that came with the call; undefined when InputLocation names it. Exactly one of the two must be there. */
async function inlineBody(request: Request, headers: AsyncInvocationHeaders): Promise<Uint8Array | undefined> {
  const { scratchDir, signal } = contextOf(request);
  const limits = { maxBytes: maxInlineBytes, scratchDir, signal };
  const body = await receiveBody(request, limits).catch((thrown: unknown) => {
    if (!(thrown instanceof EndpointError) || thrown.code !== 'payload_too_large') throw thrown;
    const message = `Body has more than ${maxInlineBytes} bytes. Put it into S3 and name it by InputLocation.`;
    throw new EndpointError('payload_too_large', message);
  });
  const bytes = body.bytes ?? new Uint8Array();
  if (bytes.length > 0 && headers.inputUri !== undefined) {
    throw new EndpointError('invalid_request', 'Body and InputLocation exclude each other: give one of them.');
  }
  if (bytes.length === 0 && headers.inputUri === undefined) {
    throw new EndpointError('invalid_request', 'Give the request by InputLocation or as Body.');
  }
  return headers.inputUri === undefined ? bytes : undefined;
}

function jobOf(
  request: Request,
  headers: AsyncInvocationHeaders,
  places: Pick<AsyncInvocations, 'outputUri' | 'failureUri'>,
): AsyncJob {
  const jobId = randomUUID();
  const inferenceId = headers.inferenceId ?? jobId;
  const folder = headers.pathExtension.map((segment) => `${segment}/`).join('');
  const fileName = headers.fileName ?? `${jobId}.out`;
  const stem = fileName.replace(/\.[^.]*$/, '');
  const target = request.get(targetModelHeader);
  return {
    jobId,
    inferenceId,
    endpointName: request.params.endpoint as string,
    receivedAtMs: Date.now(),
    ttlSeconds: headers.ttlSeconds,
    timeoutSeconds: headers.timeoutSeconds,
    inputUri: headers.inputUri,
    headers: {
      'content-type': headers.contentType ?? 'application/json',
      'x-amzn-sagemaker-inference-id': inferenceId,
      ...(headers.accept === undefined ? {} : { accept: headers.accept }),
      ...(headers.customAttributes === undefined
        ? {}
        : { 'x-amzn-sagemaker-custom-attributes': headers.customAttributes }),
      ...(target === undefined ? {} : { [targetModelHeader]: target }),
    },
    outputUri: `${places.outputUri}${folder}${fileName}`,
    failureUri: `${places.failureUri}${folder}${stem}-error.out`,
  };
}
