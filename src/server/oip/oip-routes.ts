import { z } from 'zod';
import { oipRequestSchema } from '../../api/oip.ts';
import {
  oipAnswerSchema,
  oipErrorSchema,
  oipIndexSchema,
  oipMetadataSchema,
  oipModelReadySchema,
  oipServerSchema,
} from '../../api/oip-wire.ts';
import { emptySchema } from '../../api/wire-schemas.ts';
import type { RouteDescription, RouteParameter } from '../openapi/route.ts';
import { invocationErrors } from '../sagemaker/container-routes.ts';

const tag = 'Open Inference Protocol';
const binary = 'application/octet-stream';
const name: RouteParameter = {
  name: 'name',
  in: 'path',
  description: 'TargetModel without its suffix; its "/" may be %2F.',
  schema: z.string(),
};
const version: RouteParameter = { name: 'version', in: 'path', description: 'The version.', schema: z.string() };
const headerLength: RouteParameter = {
  name: 'Inference-Header-Content-Length',
  in: 'header',
  description: 'Bytes of the body that are its JSON; tensors in binary stand behind it.',
  schema: z.string(),
};
const common = { tag, errorSchema: oipErrorSchema } as const;
const json = (description: string, schema: z.ZodType) => ({ description, content: { 'application/json': schema } });

/** Calls of one model, with and without a version. */
const modelRoutes = (path: string, suffix: string, parameters: readonly RouteParameter[]): RouteDescription[] => [
  {
    ...common,
    method: 'post',
    path: `${path}/infer`,
    operation: `ModelInfer${suffix}`,
    summary: 'Run tensors through a model',
    parameters: [...parameters, headerLength],
    request: { required: true, content: { 'application/json': oipRequestSchema, [binary]: 'bytes' } },
    responses: {
      200: { description: 'Its outputs.', content: { 'application/json': oipAnswerSchema, [binary]: 'bytes' } },
    },
    errors: invocationErrors,
    guarded: true,
  },
  {
    ...common,
    method: 'get',
    path: `${path}/ready`,
    operation: `ModelReady${suffix}`,
    summary: 'Whether a model is loaded',
    parameters,
    responses: { 200: json('It is.', oipModelReadySchema) },
    errors: ['model_not_found'],
    guarded: true,
  },
  {
    ...common,
    method: 'get',
    path,
    operation: `ModelMetadata${suffix}`,
    summary: 'Inputs and outputs of a model, which is loaded for it',
    parameters,
    responses: { 200: json('Its tensors.', oipMetadataSchema) },
    errors: invocationErrors,
    guarded: true,
  },
];

export const oipRoutes: readonly RouteDescription[] = [
  {
    ...common,
    method: 'get',
    path: '/v2',
    operation: 'ServerMetadata',
    summary: 'The server and its extensions of the protocol',
    responses: { 200: json('The server.', oipServerSchema) },
    errors: [],
  },
  {
    ...common,
    method: 'get',
    path: '/v2/health/live',
    operation: 'ServerLive',
    summary: 'The process answers',
    responses: { 200: json('Alive.', z.strictObject({ live: z.literal(true) })) },
    errors: [],
  },
  {
    ...common,
    method: 'get',
    path: '/v2/health/ready',
    operation: 'ServerReady',
    summary: 'Whether it takes work',
    responses: {
      200: json('It takes work.', z.strictObject({ ready: z.literal(true) })),
      503: json('It takes none now.', z.strictObject({ ready: z.literal(false) })),
    },
    errors: [],
  },
  {
    ...common,
    method: 'post',
    path: '/v2/repository/index',
    operation: 'RepositoryIndex',
    summary: 'Models and their states',
    request: { required: false, content: { 'application/json': z.looseObject({ ready: z.boolean().optional() }) } },
    responses: { 200: json('The models, by name.', oipIndexSchema) },
    errors: ['payload_too_large', 'unsupported_media_type', 'overloaded'],
    guarded: true,
  },
  ...(['load', 'unload'] as const).map(
    (action): RouteDescription => ({
      ...common,
      method: 'post',
      path: `/v2/repository/models/{name}/${action}`,
      operation: action === 'load' ? 'RepositoryModelLoad' : 'RepositoryModelUnload',
      summary: action === 'load' ? 'Load a model; again is no error' : 'Unload a model; again is no error',
      parameters: [name],
      request: { required: false, content: { 'application/json': z.looseObject({}) } },
      responses: { 200: json('Done.', emptySchema) },
      errors: invocationErrors,
      guarded: true,
    }),
  ),
  ...modelRoutes('/v2/models/{name}/versions/{version}', 'Version', [name, version]),
  ...modelRoutes('/v2/models/{name}', '', [name]),
];
