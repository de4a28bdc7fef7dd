import type { z } from 'zod';
import type { ErrorCode } from '../../errors.ts';

/** What a body holds: JSON of a schema, or bytes or text that no schema describes. */
export type BodyContent = z.ZodType | 'bytes' | 'text';

export interface RouteParameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly description: string;
  /** @default false, except in the path */
  readonly required?: boolean;
  readonly schema: z.ZodType;
}

export interface RouteResponse {
  readonly description: string;
  /** By media type; none: an empty body. */
  readonly content?: Readonly<Record<string, BodyContent>>;
}

/**
 * One call of the API: what the document says of it, and its name in the access log and in traces. A router exports
 * the descriptions of its routes; `routes.ts` puts them together, and a test compares them with what express has.
 */
export interface RouteDescription {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  /** As in OpenAPI: `/models/{name}`. */
  readonly path: string;
  /** Name of the call, as AWS names operations. */
  readonly operation: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly RouteParameter[];
  readonly request?: {
    readonly description?: string;
    readonly required: boolean;
    readonly content: Readonly<Record<string, BodyContent>>;
  };
  readonly responses: Readonly<Record<number, RouteResponse>>;
  /** Codes that it may fail with, besides `invalid_request` and `internal`. */
  readonly errors: readonly ErrorCode[];
  /** Form of its failures with these codes. Default: `{ error: { code, message, details } }`. */
  readonly errorSchema?: (codes: readonly ErrorCode[]) => z.ZodType;
  /** True when a token is asked for where the operator set one. */
  readonly guarded?: boolean;
}
