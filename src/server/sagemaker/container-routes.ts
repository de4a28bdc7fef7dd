import { z } from 'zod';
import { oipRequestSchema } from '../../api/oip.ts';
import { oipAnswerSchema } from '../../api/oip-wire.ts';
import { acceptedSchema, answerSchema, executionParametersSchema, invocationSchema } from '../../api/wire-schemas.ts';
import type { ErrorCode } from '../../errors.ts';
import type { BodyContent, RouteDescription, RouteParameter } from '../openapi/route.ts';

/** Bodies of an invocation: JSON that names its inputs or holds tensors, the data itself, or many requests as JSON Lines. */
const invocationContent: Readonly<Record<string, BodyContent>> = {
  'application/json': z.union([invocationSchema, oipRequestSchema]),
  'application/zip': 'bytes',
  'multipart/related': 'bytes',
  'application/dicom': 'bytes',
  'application/x-nifti': 'bytes',
  'application/gzip': 'bytes',
  'application/octet-stream': 'bytes',
  'application/jsonlines': 'text',
  'application/x-ndjson': 'text',
  'application/jsonl': 'text',
};
export const invocationRequest = {
  description: 'What a custom handler takes is its own matter: also bodies of other types, and other JSON.',
  required: true,
  content: invocationContent,
};

/** Forms of an answer, by `Accept`. */
const answerContent: Readonly<Record<string, BodyContent>> = {
  'application/json': z.union([answerSchema, oipAnswerSchema]),
  'application/zip': 'bytes',
  'multipart/related': 'bytes',
  'application/octet-stream': 'bytes',
  'application/jsonlines': 'text',
};
export const invocationAnswer = {
  description:
    'The result. Nothing partial is ever given as one. JSON Lines: an answer or an error for each line of the request, ' +
    'or progress and then the one answer. A custom handler gives its own types, other JSON, and any status from 200 to 299.',
  content: answerContent,
};
export const backgroundAnswer = {
  description: 'The request says `"mode": "background"`, and its work goes on.',
  content: { 'application/json': acceptedSchema },
};

export const invocationErrors: readonly ErrorCode[] = [
  'model_not_found',
  'conflict',
  'payload_too_large',
  'unsupported_media_type',
  'input_not_found',
  'unprocessable_image',
  'unsupported_bundle',
  'invalid_archive',
  'model_failed',
  'worker_crashed',
  'upstream_failed',
  'overloaded',
  'deadline_exceeded',
  'insufficient_memory',
];

const header = (name: string, description: string): RouteParameter => ({
  name,
  in: 'header',
  description,
  schema: z.string(),
});

export const invocationHeaders: readonly RouteParameter[] = [
  header('X-Amzn-SageMaker-Target-Model', 'The model: a path that ends in .tar.gz. Without it, the body’s "model".'),
  header('X-Amzn-SageMaker-Custom-Attributes', 'model=NAME: a bundle of the archive, where the body is the images.'),
  header('X-Amzn-SageMaker-Inference-Id', 'The inferenceId, where the body gives none.'),
  header('traceparent', 'W3C trace context: the request becomes a part of this trace.'),
];

export const containerRoutes: readonly RouteDescription[] = [
  {
    method: 'get',
    path: '/ping',
    operation: 'Ping',
    tag: 'Probes',
    summary: 'SageMaker’s health check: ready to take work, also with no model loaded',
    responses: {
      200: { description: 'Ready.' },
      503: { description: 'Draining, or its processes cannot be started.' },
    },
    errors: [],
  },
  {
    method: 'post',
    path: '/invocations',
    operation: 'Invoke',
    tag: 'Inference',
    summary: 'Run a model on images',
    description:
      'One request is one inference over all its inputs. With `output` the files are written there and the answer ' +
      'tells where; without it they come in the answer, in the form that `Accept` asks for. A body of JSON Lines is ' +
      'a request a line; `Accept: application/jsonlines` for one that is not gives progress while it runs.',
    parameters: invocationHeaders,
    request: invocationRequest,
    responses: { 200: invocationAnswer, 202: backgroundAnswer },
    errors: invocationErrors,
    guarded: true,
  },
  {
    method: 'get',
    path: '/execution-parameters',
    operation: 'GetExecutionParameters',
    tag: 'Inference',
    summary: 'What batch transform may send at once',
    responses: {
      200: { description: 'The limits.', content: { 'application/json': executionParametersSchema } },
    },
    errors: [],
  },
];
