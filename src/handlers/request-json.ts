import { readFile } from 'node:fs/promises';
import { EndpointError } from '../errors.ts';
import type { HandlerRequest } from './contract.ts';

export const jsonType = 'application/json';

/** True for a JSON body; a request that says nothing of its body has one. */
export const isJson = ({ headers }: HandlerRequest): boolean =>
  ((headers['content-type'] ?? jsonType).split(';')[0] as string).trim().toLowerCase() === jsonType;

/** The body, wherever it lies. */
export async function bodyBytes(request: HandlerRequest): Promise<Uint8Array> {
  return request.body ?? (request.bodyPath === undefined ? new Uint8Array() : await readFile(request.bodyPath));
}

/** @throws EndpointError `invalid_request` */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new EndpointError('invalid_request', 'The body is not valid JSON in UTF-8.', { cause });
  }
}
