import { z } from 'zod';
import { asyncAcceptedSchema, modelErrorSchema, validationErrorSchema } from '../../api/wire-schemas.ts';
import type { RouteDescription, RouteParameter } from '../openapi/route.ts';
import {
  backgroundAnswer,
  invocationAnswer,
  invocationHeaders,
  invocationRequest,
} from '../sagemaker/container-routes.ts';

const endpointParameter: RouteParameter = {
  name: 'endpoint',
  in: 'path',
  description: 'Any name: every endpoint is this server.',
  schema: z.string(),
};

const asyncHeader = (name: string, description: string): RouteParameter => ({
  name: `X-Amzn-SageMaker-${name}`,
  in: 'header',
  description,
  schema: z.string(),
});

const failures = {
  400: {
    description: 'The endpoint’s name is malformed.',
    content: { 'application/json': validationErrorSchema },
  },
  424: {
    description: 'The container answered with an error: OriginalMessage holds it.',
    content: { 'application/json': modelErrorSchema },
  },
};

export const runtimeRoutes: readonly RouteDescription[] = [
  {
    method: 'post',
    path: '/endpoints/{endpoint}/invocations',
    operation: 'InvokeEndpoint',
    tag: 'SageMaker Runtime',
    summary: 'Run a model as SageMaker Runtime does (local mode)',
    parameters: [endpointParameter, ...invocationHeaders],
    request: invocationRequest,
    responses: { 200: invocationAnswer, 202: backgroundAnswer, ...failures },
    errors: ['overloaded'],
    guarded: true,
  },
  {
    method: 'post',
    path: '/endpoints/{endpoint}/invocations-response-stream',
    operation: 'InvokeEndpointWithResponseStream',
    tag: 'SageMaker Runtime',
    summary: 'The same, answered in parts (local mode)',
    parameters: [
      endpointParameter,
      {
        name: 'X-Amzn-SageMaker-Accept',
        in: 'header',
        description: 'Form of the answer; application/jsonlines: progress, and then the answer.',
        schema: z.string(),
      },
      ...invocationHeaders,
    ],
    request: invocationRequest,
    responses: {
      200: {
        description: 'The answer in events of type PayloadPart; a ModelStreamError where it breaks off.',
        content: { 'application/vnd.amazon.eventstream': 'bytes' },
      },
      ...failures,
    },
    errors: ['overloaded'],
    guarded: true,
  },
  {
    method: 'post',
    path: '/endpoints/{endpoint}/async-invocations',
    operation: 'InvokeEndpointAsync',
    tag: 'SageMaker Runtime',
    summary: 'Have a model run later (local mode)',
    parameters: [
      endpointParameter,
      asyncHeader('InputLocation', 'URI of the request; without it, the body is the request.'),
      asyncHeader('Inference-Id', 'Id of the job, for whoever is notified.'),
      asyncHeader('Content-Type', 'Type of the request.'),
      asyncHeader('Accept', 'Form of the answer.'),
      asyncHeader('Custom-Attributes', 'Passed on to the model.'),
      asyncHeader('RequestTTLSeconds', 'How long it may wait for its turn.'),
      asyncHeader('InvocationTimeoutSeconds', 'How long its work may take.'),
    ],
    request: {
      description: 'The request itself, of any type, where no header names its place.',
      required: false,
      content: invocationRequest.content,
    },
    responses: {
      202: {
        description:
          'It is kept; the headers x-amzn-sagemaker-outputlocation and -failurelocation tell where its answer will lie.',
        content: { 'application/json': asyncAcceptedSchema },
      },
      400: { description: 'The request is malformed.', content: { 'application/json': validationErrorSchema } },
      500: { description: 'It could not be kept.', content: { 'application/json': validationErrorSchema } },
      503: { description: 'Too many jobs wait.', content: { 'application/json': validationErrorSchema } },
    },
    errors: [],
    guarded: true,
  },
];
