import { z } from 'zod';
import { errorSchemaWith, namedSchemas } from '../../api/wire-schemas.ts';
import { type ErrorCode, errorTable } from '../../errors.ts';
import { programVersion } from '../../version.ts';
import type { BodyContent, RouteDescription, RouteResponse } from './route.ts';

export type Json = Record<string, unknown>;

/** An OpenAPI 3.1 document, as far as the page needs to know it. */
export interface OpenApiDocument extends Json {
  readonly info: { readonly title: string; readonly version: string; readonly description: string } & Json;
  readonly paths: Readonly<Record<string, Readonly<Record<string, OperationObject>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Json>> } & Json;
}

export interface OperationObject extends Json {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly Json[];
  readonly requestBody?: Json;
  readonly responses: Readonly<Record<string, ResponseObject>>;
}

interface MediaObject extends Json {
  readonly schema?: Json;
}

export interface ResponseObject extends Json {
  readonly description: string;
  readonly content?: Readonly<Record<string, MediaObject>>;
}

const schemaUri = (id: string): string => `#/components/schemas/${id}`;
const nameOfSchema = new Map(Object.entries(namedSchemas).map(([name, schema]) => [schema, name]));

/** The OpenAPI 3.1 document of the routes, its schemas made of those that check requests. */
export function openApiDocument(routes: readonly RouteDescription[]): OpenApiDocument {
  const paths: Record<string, Record<string, OperationObject>> = {};
  for (const route of routes) {
    paths[route.path] = { ...paths[route.path], [route.method]: operationOf(route) };
  }
  return {
    openapi: '3.1.1',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: {
      title: 'map-endpoint',
      version: programVersion,
      description:
        'Serves MONAI bundles on medical images. The result is for research; it is not a medical device. Errors are ' +
        'told by their code; 404 and 507 always speak of the model, never of the data.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    tags: [...new Set(routes.map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: componentSchemas(),
      securitySchemes: { token: { type: 'http', scheme: 'bearer', description: 'Where the operator set a token.' } },
    },
  };
}

function componentSchemas(): Record<string, Json> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries(namedSchemas)) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, { io: 'input', uri: schemaUri });
  return Object.fromEntries(Object.entries(schemas).map(([id, schema]) => [id, withoutIds(schema as Json)]));
}

/** In the document a schema is named by its place. */
function withoutIds({ $schema: _, $id: __, ...schema }: Json): Json {
  return schema;
}

function operationOf(route: RouteDescription): OperationObject {
  const { operation, tag, summary, description, parameters, request, responses } = route;
  return {
    operationId: operation,
    tags: [tag],
    summary,
    ...(description === undefined ? {} : { description }),
    ...(parameters
      ? {
          parameters: parameters.map(({ schema, required, ...parameter }) => ({
            ...parameter,
            required: parameter.in === 'path' || (required ?? false),
            schema: schemaOf(schema),
          })),
        }
      : {}),
    ...(request ? { requestBody: { ...request, content: contentOf(request.content) } } : {}),
    responses: merged(
      Object.fromEntries(Object.entries(responses).map(([status, response]) => [status, responseOf(response)])),
      errorResponses(route),
    ),
    ...(route.guarded ? { security: [{}, { token: [] }] } : {}),
  };
}

/** Answers by status; where a status has two, it is one or the other. */
function merged(answers: Record<string, ResponseObject>, errors: Record<string, ResponseObject>) {
  const all: Record<string, ResponseObject> = { ...answers };
  for (const [status, error] of Object.entries(errors)) {
    const other = all[status];
    all[status] = other ? oneOrOther(other, error) : error;
  }
  return all;
}

function oneOrOther(a: ResponseObject, b: ResponseObject): ResponseObject {
  const content: Record<string, MediaObject> = { ...a.content };
  for (const [type, media] of Object.entries(b.content ?? {})) {
    const other = content[type];
    content[type] = other?.schema && media.schema ? { schema: { anyOf: [other.schema, media.schema] } } : media;
  }
  return { description: `${a.description}\n\n${b.description}`, content };
}

function responseOf({ description, content }: RouteResponse): ResponseObject {
  return { description, ...(content ? { content: contentOf(content) } : {}) };
}

function contentOf(content: Readonly<Record<string, BodyContent>>): Record<string, MediaObject> {
  return Object.fromEntries(
    Object.entries(content).map(([type, body]) => {
      if (body === 'bytes') return [type, {}];
      return [type, { schema: body === 'text' ? { type: 'string' } : schemaOf(body) }];
    }),
  );
}

function schemaOf(schema: z.ZodType): Json {
  const name = nameOfSchema.get(schema);
  return name === undefined
    ? withoutIds(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }))
    : { $ref: schemaUri(name) };
}

/** One response a status: its description lists the codes and when each is given. */
function errorResponses({
  errors,
  guarded,
  errorSchema = errorSchemaWith,
}: RouteDescription): Record<string, ResponseObject> {
  const codes: ErrorCode[] = [
    'invalid_request',
    'forbidden',
    ...(guarded ? ['unauthorized' as const] : []),
    'internal',
  ];
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set([...codes, ...errors])) {
    const { status } = errorTable[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...byStatus].map(([status, given]) => [
      status,
      {
        description: given.map((code) => `\`${code}\`: ${errorTable[code].when}`).join('\n\n'),
        content: { 'application/json': { schema: schemaOf(errorSchema(given)) } },
      },
    ]),
  );
}
