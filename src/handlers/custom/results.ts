import { EndpointError } from '../../errors.ts';
import type { HandlerResult as InnerResult } from '../contract.ts';
import type { HandlerReply } from './handler-types.ts';

/** What the handler said of an answer besides its value. */
export interface AnswerSettings {
  readonly contentType?: string;
  readonly status?: number;
}

/**
 * The bytes and type of one answer of a handler: text, bytes, a reply with a type of its own, or JSON.
 *
 * @throws EndpointError `model_failed` for what JSON would lose or change: NaN, infinities, maps, sets, functions, undefined
 */
export function encodeResult(result: unknown, settings: AnswerSettings): InnerResult {
  const status = settings.status === undefined ? {} : { status: settings.status };
  const as = (body: Uint8Array, contentType: string): InnerResult => ({
    body,
    contentType: settings.contentType ?? contentType,
    ...status,
  });
  if (typeof result === 'string') return as(Buffer.from(result), 'text/plain; charset=utf-8');
  const bytes = bytesOf(result);
  if (bytes) return as(bytes, 'application/octet-stream');
  if (isReply(result)) return encodeReply(result, { ...settings });
  return as(Buffer.from(jsonOf(result)), 'application/json');
}

/** Bytes; not the numbers of a typed array, whose element type an answer could not tell. */
function bytesOf(value: unknown): Uint8Array | undefined {
  if (value instanceof Uint8Array) return value;
  return value instanceof ArrayBuffer ? new Uint8Array(value) : undefined;
}

function isReply(value: unknown): value is HandlerReply {
  return (
    typeof value === 'object' &&
    value !== null &&
    'contentType' in value &&
    typeof value.contentType === 'string' &&
    ('body' in value || 'bodyPath' in value)
  );
}

function encodeReply(reply: HandlerReply, settings: AnswerSettings): InnerResult {
  const status = settings.status ?? reply.status;
  const common = {
    contentType: settings.contentType ?? checkContentType(reply.contentType),
    ...(status === undefined ? {} : { status: checkStatus(status) }),
  };
  if (typeof reply.bodyPath === 'string') return { bodyPath: reply.bodyPath, ...common };
  if (typeof reply.body === 'string') return { body: Buffer.from(reply.body), ...common };
  const body = bytesOf(reply.body);
  if (!body) throw new EndpointError('model_failed', 'The handler gave a reply whose body is neither text nor bytes.');
  return { body, ...common };
}

/** @throws EndpointError `model_failed` */
export function checkStatus(status: unknown): number {
  if (Number.isInteger(status) && (status as number) >= 200 && (status as number) < 300) return status as number;
  throw new EndpointError('model_failed', 'The handler set a status outside 200 to 299: a failure is an Error.');
}

/** @throws EndpointError `model_failed` */
export function checkContentType(contentType: unknown): string {
  if (typeof contentType === 'string' && /^[\w.+-]+\/[\w.+-]+(?:\s*;[\x20-\x7e]*)?$/.test(contentType))
    return contentType;
  throw new EndpointError('model_failed', 'The handler set a content type that is none.');
}

/** JSON that says what the value says: JSON.stringify alone would turn NaN into null and a Map into {}. */
function jsonOf(value: unknown): string {
  const text = JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner === 'number' && !Number.isFinite(inner)) throw notJson('NaN or an infinity');
    if (typeof inner === 'bigint') throw notJson('a bigint');
    if (inner instanceof Map || inner instanceof Set) throw notJson('a Map or Set');
    if (inner instanceof Error) throw notJson('an Error inside an answer');
    if (ArrayBuffer.isView(inner) && !(inner instanceof DataView))
      return Array.from(inner as unknown as Iterable<unknown>);
    return inner;
  });
  if (text === undefined) throw notJson('nothing, or a function');
  return text;
}

const notJson = (what: string): EndpointError =>
  new EndpointError('model_failed', `The handler gave ${what}, which JSON can't hold.`);
