import { LRUCache } from 'lru-cache';
import { looksLikeOipRequest, type OipRequest, parseOipRequest } from '../../api/oip.ts';
import { isSagemakerBinary, type OipForm, splitOipBody } from '../../api/oip-body.ts';
import type { HandlerRequest } from '../contract.ts';
import { bodyBytes, isJson, parseJson } from '../request-json.ts';

/** A request of the Open Inference Protocol, cut, and its JSON parsed and checked. */
export interface TensorCall {
  readonly request: OipRequest;
  readonly binary: Uint8Array;
  readonly form: OipForm;
}

/**
 * The call of a request that brings tensors; undefined for an imaging request.
 *
 * @throws EndpointError `invalid_request`
 */
export async function tensorCall(request: HandlerRequest): Promise<TensorCall | undefined> {
  const { headers, protocol } = request;
  const form = protocol === 'oip' ? 'v2' : 'sagemaker';
  if (form === 'v2' || isSagemakerBinary(headers['content-type'])) {
    const { json, binary } = splitOipBody(await bodyBytes(request), headers, form);
    return { request: binary.length > 0 ? parseHead(json) : parseOipRequest(parseJson(json)), binary, form };
  }
  if (!isJson(request)) return undefined;
  const json = parseJson(await bodyBytes(request));
  return looksLikeOipRequest(json) ? { request: parseOipRequest(json), binary: new Uint8Array(), form } : undefined;
}

const keptHeadBytes = 2048;
const heads = new LRUCache<string, OipRequest>({ max: 64 });

/** A client that sends its tensors in binary says the same of them again and again: what was checked once is known. */
function parseHead(json: Uint8Array): OipRequest {
  if (json.length > keptHeadBytes) return parseOipRequest(parseJson(json));
  const key = Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString('latin1');
  const known = heads.get(key);
  if (known) return known;
  const request = parseOipRequest(parseJson(json));
  heads.set(key, request);
  return request;
}
