import { EndpointError } from '../errors.ts';
import { headerLengthHeader, sagemakerBinaryType } from './oip.ts';

/** Who calls: under `/v2` a header tells where tensors in binary begin, on SageMaker's paths the content type does. */
export type OipForm = 'v2' | 'sagemaker';

/** A body cut in two: its JSON, and the tensors in binary behind it. */
export interface OipBody {
  readonly json: Uint8Array;
  readonly binary: Uint8Array;
}

/** True for SageMaker's binary content type. */
export const isSagemakerBinary = (contentType: string | undefined): boolean =>
  (contentType ?? '').split(';')[0]?.trim().toLowerCase() === sagemakerBinaryType;

/**
 * Cuts a body where its header says.
 *
 * @param headers - with lower-case names
 * @throws EndpointError `invalid_request` for a length that is malformed or outside the body
 */
export function splitOipBody(
  bytes: Uint8Array,
  headers: Readonly<Record<string, string | undefined>>,
  form: OipForm,
): OipBody {
  const [where, given] =
    form === 'v2'
      ? ['Inference-Header-Content-Length', headers[headerLengthHeader]]
      : ['json-header-size', jsonHeaderSize(headers['content-type'])];
  if (given === undefined) return { json: bytes, binary: bytes.subarray(bytes.length) };
  const length = Number(given);
  if (!/^\d{1,15}$/.test(given) || length < 1 || length > bytes.length) {
    const message = `${where} must be the length of the JSON at the start of the body: 1 to ${bytes.length}.`;
    throw new EndpointError('invalid_request', message);
  }
  return { json: bytes.subarray(0, length), binary: bytes.subarray(length) };
}

/** The `json-header-size` of SageMaker's binary content type; undefined for any other type. */
function jsonHeaderSize(contentType: string | undefined): string | undefined {
  if (contentType === undefined || !isSagemakerBinary(contentType)) return undefined;
  const sizes = contentType
    .split(';')
    .slice(1)
    .map((parameter) => /^\s*json-header-size\s*=\s*(.*?)\s*$/i.exec(parameter)?.[1])
    .filter((size) => size !== undefined);
  if (sizes.length === 1) return sizes[0];
  throw new EndpointError('invalid_request', `${sagemakerBinaryType} needs one parameter json-header-size.`);
}
