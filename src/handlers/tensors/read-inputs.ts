import { datatypeOf, type OipInput } from '../../api/oip.ts';
import { EndpointError } from '../../errors.ts';
import {
  arrayOf,
  elementBytes,
  type NetworkSignature,
  type Tensor,
  type TensorData,
  type TensorInfo,
} from '../../imaging/tensor.ts';
import { readJsonElements } from './json-elements.ts';

/**
 * Makes the network's inputs of a request's: each must be one that the network takes, of its datatype and shape, and
 * the tensors in binary must fill what stands behind the JSON to the last byte.
 *
 * @param binary - what stands behind the JSON: the tensors that have a `binary_data_size`, in the order of the inputs
 * @throws EndpointError `invalid_request`
 */
export function readInputs(
  inputs: readonly OipInput[],
  binary: Uint8Array,
  signature: NetworkSignature,
): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  let offset = 0;
  for (const input of inputs) {
    const info = signature.inputs.find(({ name }) => name === input.name);
    if (!info) throw new EndpointError('invalid_request', `The network has no input "${input.name}".`);
    checkAgainst(info, input);
    const count = input.shape.reduce((product, dim) => product * dim, 1);
    const sizeBytes = input.parameters.binary_data_size;
    let data: TensorData;
    if (sizeBytes === undefined) {
      if (!input.data) throw refusal(input, 'it has neither "data" nor the parameter binary_data_size');
      data = readJsonElements(input.name, info.type, input.shape, count, input.data);
    } else {
      if (input.data) throw refusal(input, 'it has both "data" and the parameter binary_data_size');
      data = readBinary(input, info, count, binary.subarray(offset, offset + sizeBytes), sizeBytes);
      offset += sizeBytes;
    }
    tensors[info.name] = { type: info.type, dims: input.shape, data };
  }
  if (offset !== binary.length) {
    const message = `The inputs in binary have ${offset} bytes; behind the JSON stand ${binary.length}.`;
    throw new EndpointError('invalid_request', message);
  }
  const missing = signature.inputs.find(({ name }) => !(name in tensors));
  if (missing) throw new EndpointError('invalid_request', `The input "${missing.name}" is missing.`);
  return tensors;
}

function checkAgainst(info: TensorInfo, input: OipInput): void {
  const datatype = datatypeOf[info.type];
  if (input.datatype === 'BYTES' || input.datatype === 'BF16') {
    throw refusal(input, `${input.datatype} is not supported; the network takes ${datatype}`);
  }
  if (input.datatype !== datatype) throw refusal(input, `the network takes ${datatype}, not ${input.datatype}`);
  // The network's dynamic axes take any length.
  const fits = info.dims.every((dim, axis) => typeof dim === 'string' || dim < 0 || dim === input.shape[axis]);
  if (info.dims.length !== input.shape.length || !fits) {
    const takes = info.dims.map((dim) => (typeof dim === 'string' ? -1 : dim)).join(', ');
    throw refusal(input, `the network takes the shape [${takes}], not [${input.shape.join(', ')}]`);
  }
}

function readBinary(input: OipInput, info: TensorInfo, count: number, bytes: Uint8Array, sizeBytes: number) {
  const needBytes = count * elementBytes[info.type];
  if (sizeBytes !== needBytes) {
    throw refusal(input, `binary_data_size is ${sizeBytes}; its shape and datatype have ${needBytes} bytes`);
  }
  if (bytes.length !== sizeBytes) throw refusal(input, 'the body ends before its binary data does');
  if (info.type === 'bool' && bytes.some((byte) => byte > 1)) throw refusal(input, 'a BOOL is one byte, 0 or 1');
  // A copy of its own: the body's bytes are not aligned for the type.
  const copy = new Uint8Array(bytes);
  return new arrayOf[info.type](copy.buffer, 0, count);
}

const refusal = (input: OipInput, why: string): EndpointError =>
  new EndpointError('invalid_request', `Input "${input.name}": ${why}.`);
