import { z } from 'zod';
import { emptySchema, loadModelSchema, modelDescriptionSchema, modelListSchema } from '../../api/wire-schemas.ts';
import type { RouteDescription, RouteParameter } from '../openapi/route.ts';
import {
  backgroundAnswer,
  invocationAnswer,
  invocationErrors,
  invocationHeaders,
  invocationRequest,
} from './container-routes.ts';

const name: RouteParameter = {
  name: 'name',
  in: 'path',
  description: 'The name that the model was loaded under.',
  schema: z.string(),
};
const query = (key: string, description: string): RouteParameter => ({
  name: key,
  in: 'query',
  description,
  schema: z.string(),
});

const tag = 'Models';

export const modelRoutes: readonly RouteDescription[] = [
  {
    method: 'post',
    path: '/models',
    operation: 'LoadModel',
    tag,
    summary: 'Load a model from its unpacked folder',
    parameters: [
      {
        name: 'X-Amzn-SageMaker-Target-Model',
        in: 'header',
        description: 'The name that people know the model by.',
        schema: z.string(),
      },
    ],
    request: { required: true, content: { 'application/json': loadModelSchema } },
    responses: { 200: { description: 'Loaded.', content: { 'application/json': emptySchema } } },
    errors: [
      'model_already_loaded',
      'payload_too_large',
      'unsupported_media_type',
      'unsupported_bundle',
      'invalid_archive',
      'model_not_found',
      'model_failed',
      'worker_crashed',
      'overloaded',
      'deadline_exceeded',
      'insufficient_memory',
    ],
    guarded: true,
  },
  {
    method: 'get',
    path: '/models',
    operation: 'ListModels',
    tag,
    summary: 'The models that are ready, a page at a time',
    parameters: [
      query('next_page_token', 'nextPageToken of the page before.'),
      query('limit', 'Most models of the page.'),
    ],
    responses: { 200: { description: 'A page, by name.', content: { 'application/json': modelListSchema } } },
    errors: [],
    guarded: true,
  },
  {
    method: 'get',
    path: '/models/{name}',
    operation: 'DescribeModel',
    tag,
    summary: 'A loaded model',
    parameters: [name],
    responses: { 200: { description: 'It is loaded.', content: { 'application/json': modelDescriptionSchema } } },
    errors: ['model_not_found'],
    guarded: true,
  },
  {
    method: 'delete',
    path: '/models/{name}',
    operation: 'UnloadModel',
    tag,
    summary: 'Unload a model, once its running requests are done; its memory is then back',
    parameters: [name],
    responses: { 200: { description: 'Unloaded.', content: { 'application/json': emptySchema } } },
    errors: ['model_not_found'],
    guarded: true,
  },
  {
    method: 'post',
    path: '/models/{name}/invoke',
    operation: 'InvokeModel',
    tag,
    summary: 'Run a loaded model on images',
    parameters: [name, ...invocationHeaders.slice(1)],
    request: invocationRequest,
    responses: { 200: invocationAnswer, 202: backgroundAnswer },
    errors: invocationErrors,
    guarded: true,
  },
];
