import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import type { OpenApiDocument, OperationObject } from '../../src/server/openapi/document.ts';

interface Media {
  readonly schema?: object;
}
type Content = Readonly<Record<string, Media>>;

/** One request and its answer, as they went over the wire. */
export interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly requestType?: string | undefined;
  readonly requestBody?: string | undefined;
  readonly status: number;
  readonly responseType: string | undefined;
  readonly responseBody: string;
}

/** Holds recorded traffic against an OpenAPI document, with a validator that knows nothing of this program. */
export class OpenApiCheck {
  readonly #document: OpenApiDocument;
  readonly #ajv = new Ajv2020({ strict: true, allErrors: true, allowUnionTypes: true });
  readonly #validators = new Map<string, ValidateFunction>();

  constructor(document: OpenApiDocument) {
    this.#document = document;
    for (const [name, schema] of Object.entries(document.components.schemas)) {
      this.#ajv.addSchema({ $id: `https://schemas.invalid/${name}`, ...(rebased(schema) as object) });
    }
  }

  /** What is wrong with an exchange; nothing when it is as the document says. A bad request's body is not held to it. */
  problems(exchange: Exchange): string[] {
    const { method, path, status } = exchange;
    const at = `${method} ${path} ${status}`;
    const operation = this.operationOf(method, path);
    if (!operation) return [`${at}: no such operation`];
    const response = operation.responses[String(status)] as { content?: Content } | undefined;
    if (!response) return [`${at}: no such status`];
    const problems = this.#bodyProblems(`${at} answer`, response.content, exchange.responseType, exchange.responseBody);
    if (status < 400 && exchange.requestBody !== undefined) {
      const { content } = (operation.requestBody ?? {}) as { content?: Content };
      problems.push(...this.#bodyProblems(`${at} request`, content, exchange.requestType, exchange.requestBody));
    }
    return problems;
  }

  /** True when the document takes a JSON body of an operation. */
  takes(method: string, path: string, body: unknown): boolean {
    const { content } = (this.operationOf(method, path)?.requestBody ?? {}) as { content?: Content };
    return this.#bodyProblems(`${method} ${path}`, content, 'application/json', JSON.stringify(body)).length === 0;
  }

  operationOf(method: string, path: string): OperationObject | undefined {
    for (const [template, methods] of Object.entries(this.#document.paths)) {
      const expression = new RegExp(`^${template.replace(/\{[^}]+\}/g, '[^/]+').replaceAll('.', '\\.')}$`);
      if (expression.test(path)) return methods[method.toLowerCase()];
    }
    return undefined;
  }

  #bodyProblems(at: string, content: Content | undefined, type: string | undefined, body: string): string[] {
    if (!content) return body === '' ? [] : [`${at}: a body, and none is described`];
    const mediaType = (type ?? '').split(';')[0]?.trim() ?? '';
    const media = content[mediaType];
    if (!media) return [`${at}: the type "${mediaType}" is not described`];
    if (!media.schema) return [];
    const value: unknown = mediaType === 'application/json' ? JSON.parse(body) : body;
    const validate = this.#validatorOf(media.schema);
    return validate(value)
      ? []
      : (validate.errors ?? []).map((error) => `${at}: ${error.instancePath} ${error.message}`);
  }

  #validatorOf(schema: object): ValidateFunction {
    const key = JSON.stringify(schema);
    const known = this.#validators.get(key) ?? this.#ajv.compile(rebased(schema) as object);
    this.#validators.set(key, known);
    return known;
  }
}

/** References of the document as references between the validator's schemas. */
function rebased(schema: unknown): unknown {
  return JSON.parse(JSON.stringify(schema).replaceAll('#/components/schemas/', 'https://schemas.invalid/'));
}
