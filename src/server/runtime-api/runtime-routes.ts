import { z } from 'zod';
import { modelErrorSchema, validationErrorSchema } from '../../api/wire-schemas.ts';
import type { RouteDescription, RouteParameter } from '../openapi/route.ts';
import { answerContent, invocationContent, invocationHeaders } from '../sagemaker/container-routes.ts';

export const endpointParameter: RouteParameter = {
  name: 'endpoint',
  in: 'path',
  description: 'Any name: every endpoint is this server.',
  schema: z.string(),
};

export const runtimeRoutes: readonly RouteDescription[] = [
  {
    method: 'post',
    path: '/endpoints/{endpoint}/invocations',
    operation: 'InvokeEndpoint',
    tag: 'SageMaker Runtime',
    summary: 'Run a model as SageMaker Runtime does (local mode)',
    parameters: [endpointParameter, ...invocationHeaders],
    request: { required: true, content: invocationContent },
    responses: {
      200: { description: 'The result.', content: answerContent },
      400: {
        description: 'The endpoint’s name is malformed.',
        content: { 'application/json': validationErrorSchema },
      },
      424: {
        description: 'The container answered with an error: OriginalMessage holds it.',
        content: { 'application/json': modelErrorSchema },
      },
    },
    errors: ['overloaded'],
    guarded: true,
  },
];
