import { datatypeOf, type OipRequest } from '../../api/oip.ts';
import { EndpointError } from '../../errors.ts';
import type { NetworkSignature, Tensor } from '../../imaging/tensor.ts';
import { jsonElements } from './json-elements.ts';

/** An output as the client wants it. */
export interface WantedOutput {
  readonly name: string;
  readonly binary: boolean;
}

/** Who answers, as the protocol wants it told. */
export interface OipAnswerHead {
  readonly model_name: string;
  readonly model_version: string;
  readonly id?: string;
}

/** The body of an answer: its JSON, and behind it the outputs in binary. */
export interface OipAnswer {
  readonly body: Uint8Array;
  /** Length of the JSON; undefined when no output is in binary. */
  readonly jsonBytes: number | undefined;
}

/**
 * The outputs that a request asks for, all where it names none, each in JSON unless it is wanted in binary.
 *
 * @throws EndpointError `invalid_request` for one that the network has not
 */
export function wantedOutputs({ outputs, parameters }: OipRequest, signature: NetworkSignature): WantedOutput[] {
  const binary = parameters.binary_data_output ?? false;
  if (!outputs || outputs.length === 0) return signature.outputs.map(({ name }) => ({ name, binary }));
  return outputs.map((output) => {
    if (!signature.outputs.some(({ name }) => name === output.name)) {
      throw new EndpointError('invalid_request', `The network has no output "${output.name}".`);
    }
    return { name: output.name, binary: output.parameters.binary_data ?? binary };
  });
}

/**
 * Builds the answer.
 *
 * @throws EndpointError `payload_too_large`; `invalid_request` for values that JSON has no form for
 */
export function writeOutputs(
  head: OipAnswerHead,
  wanted: readonly WantedOutput[],
  results: Readonly<Record<string, Tensor>>,
  maxBytes: number,
): OipAnswer {
  const descriptions: string[] = [];
  const binaries: Uint8Array[] = [];
  let sizeBytes = 0;
  const add = (bytes: number): void => {
    sizeBytes += bytes;
    if (sizeBytes > maxBytes) {
      const message = `The outputs exceed ${maxBytes} bytes (MAX_BODY_BYTES). Ask for fewer of them, or in binary.`;
      throw new EndpointError('payload_too_large', message);
    }
  };
  for (const { name, binary } of wanted) {
    const tensor = results[name];
    if (!tensor) throw new EndpointError('model_failed', `The network gave no output "${name}".`);
    const { type, dims, data } = tensor;
    const described = { name, datatype: datatypeOf[type], shape: dims };
    if (binary) {
      add(data.byteLength);
      binaries.push(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      descriptions.push(JSON.stringify({ ...described, parameters: { binary_data_size: data.byteLength } }));
      continue;
    }
    if (data.length > maxBytes) add(data.length); // not even a digit each
    const text = jsonElements(name, type, data);
    add(text.length);
    descriptions.push(`${JSON.stringify(described).slice(0, -1)},"data":${text}}`);
  }
  const json = Buffer.from(`${JSON.stringify(head).slice(0, -1)},"outputs":[${descriptions.join(',')}]}`);
  if (binaries.length === 0) return { body: json, jsonBytes: undefined };
  return { body: Buffer.concat([json, ...binaries]), jsonBytes: json.length };
}
