import { looksLikeOipRequest } from '../../api/oip.ts';
import { isSagemakerBinary, type OipForm, splitOipBody } from '../../api/oip-body.ts';
import type { HandlerRequest } from '../contract.ts';
import { bodyBytes, isJson, parseJson } from '../request-json.ts';

/** A request of the Open Inference Protocol, cut and with its JSON parsed. */
export interface TensorCall {
  readonly json: unknown;
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
    return { json: parseJson(json), binary, form };
  }
  if (!isJson(request)) return undefined;
  const json = parseJson(await bodyBytes(request));
  return looksLikeOipRequest(json) ? { json, binary: new Uint8Array(), form } : undefined;
}
