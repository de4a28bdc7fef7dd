import type { TensorType } from '../../src/imaging/tensor.ts';
import { field, integer } from './onnx-bytes.ts';

/** Element types as ONNX numbers them (onnx.proto, TensorProto.DataType). */
const onnxTypes: Record<TensorType, number> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
};

/** A network that is written by hand; a dim that is a text is a dynamic axis. */
export interface TensorNetwork {
  readonly inputs: readonly TensorValue[];
  readonly outputs: readonly TensorValue[];
  readonly nodes: readonly { readonly operator: string; readonly inputs: string[]; readonly outputs: string[] }[];
}

interface TensorValue {
  readonly name: string;
  readonly type: TensorType;
  readonly dims: readonly (number | string)[];
}

const valueInfo = ({ name, type, dims }: TensorValue): Buffer => {
  const dim = (value: number | string): Buffer => (typeof value === 'string' ? field(2, value) : integer(1, value));
  const shape = Buffer.concat(dims.map((value) => field(1, dim(value))));
  const tensor = Buffer.concat([integer(1, onnxTypes[type]), field(2, shape)]);
  return Buffer.concat([field(1, name), field(2, field(1, tensor))]);
};

function onnxNetwork({ inputs, outputs, nodes }: TensorNetwork): Buffer {
  const graph = Buffer.concat([
    ...nodes.map((node) => {
      const names = [...node.inputs.map((name) => field(1, name)), ...node.outputs.map((name) => field(2, name))];
      return field(1, Buffer.concat([...names, field(4, node.operator)]));
    }),
    field(2, 'g'),
    ...inputs.map((value) => field(11, valueInfo(value))),
    ...outputs.map((value) => field(12, valueInfo(value))),
  ]);
  return Buffer.concat([integer(1, 8), field(7, graph), field(8, Buffer.concat([field(1, ''), integer(2, 14)]))]);
}

/** The files of a bundle that is served by its tensors alone. */
export function tensorBundle(network: TensorNetwork, version = '1'): Record<string, Buffer> {
  return {
    'configs/inference.json': Buffer.from('{}'),
    'configs/metadata.json': Buffer.from(JSON.stringify({ name: 'tensors', version })),
    'map.json': Buffer.from('{"tensorsOnly": true}'),
    'models/model.onnx': onnxNetwork(network),
  };
}

/** INPUT0 → OUTPUT0, unchanged. */
export function identityNetwork(type: TensorType, dims: readonly (number | string)[]): TensorNetwork {
  return {
    inputs: [{ name: 'INPUT0', type, dims }],
    outputs: [{ name: 'OUTPUT0', type, dims }],
    nodes: [{ operator: 'Identity', inputs: ['INPUT0'], outputs: ['OUTPUT0'] }],
  };
}

/** OUTPUT0 = INPUT0 + INPUT1, OUTPUT1 = INPUT0 − INPUT1: the network that Triton's tests are written with. */
export function addSubNetwork(type: TensorType, dims: readonly number[]): TensorNetwork {
  const inputs = ['INPUT0', 'INPUT1'];
  return {
    inputs: inputs.map((name) => ({ name, type, dims })),
    outputs: ['OUTPUT0', 'OUTPUT1'].map((name) => ({ name, type, dims })),
    nodes: [
      { operator: 'Add', inputs, outputs: ['OUTPUT0'] },
      { operator: 'Sub', inputs, outputs: ['OUTPUT1'] },
    ],
  };
}

/** A tensor's bytes behind the JSON of a request, in KServe's form or SageMaker's. */
export function binaryBody(head: object, ...tensors: Uint8Array[]) {
  const json = Buffer.from(JSON.stringify(head));
  return { body: new Uint8Array(Buffer.concat([json, ...tensors])), headerLength: json.length };
}
