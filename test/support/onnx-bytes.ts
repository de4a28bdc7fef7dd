/** Writes small ONNX files by hand, hostile ones too. Field numbers: onnx/onnx.proto. */

const varint = (value: number): Buffer => {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return Buffer.from(bytes);
};

/** A length-delimited field. */
export const field = (number: number, content: Buffer | string): Buffer => {
  const bytes = Buffer.from(content as string);
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes]);
};

/** An integer field. */
export const integer = (number: number, value: number): Buffer => Buffer.concat([varint(number * 8), varint(value)]);

const floatTensor = 1;

/** A ValueInfoProto of floats: field 11 of a graph is an input, field 12 an output. */
export const valueInfo = (name: string, dims: readonly (number | string)[]): Buffer => {
  const dimension = (dim: number | string): Buffer => (typeof dim === 'number' ? integer(1, dim) : field(2, dim));
  const shape = Buffer.concat(dims.map((dim) => field(1, dimension(dim))));
  const type = field(1, Buffer.concat([integer(1, floatTensor), field(2, shape)]));
  return Buffer.concat([field(1, name), field(2, type)]);
};

export interface OnnxParts {
  /** GraphProto fields besides the one Identity node with input x and output y. */
  readonly graph?: Buffer;
  /** ModelProto fields besides version, operator set and graph. */
  readonly model?: Buffer;
  readonly operator?: string;
  /** Inputs of the node. Default: x, the model's own. */
  readonly inputs?: readonly string[];
  /** A name is an open axis. */
  readonly dims?: readonly (number | string)[];
  /** Default: the input's. */
  readonly outputDims?: readonly (number | string)[];
  /** ValueInfoProtos of outputs behind y. */
  readonly moreOutputs?: readonly Buffer[];
  /** Fields of the node behind its operator. */
  readonly attributes?: readonly Buffer[];
}

/** A model with one node, y = operator(x). */
export function onnxModel({
  graph,
  model,
  operator = 'Identity',
  inputs = ['x'],
  dims = [4],
  outputDims = dims,
  moreOutputs = [],
  attributes = [],
}: OnnxParts = {}): Buffer {
  const names = inputs.map((name) => field(1, name));
  const node = Buffer.concat([...names, field(2, 'y'), field(4, operator), ...attributes]);
  const graphBytes = Buffer.concat([
    field(1, node),
    field(2, 'g'),
    graph ?? Buffer.alloc(0),
    field(11, valueInfo('x', dims)),
    field(12, valueInfo('y', outputDims)),
    ...moreOutputs.map((output) => field(12, output)),
  ]);
  const operatorSet = Buffer.concat([field(1, ''), integer(2, 13)]);
  return Buffer.concat([integer(1, 8), field(7, graphBytes), model ?? Buffer.alloc(0), field(8, operatorSet)]);
}

/** A TensorProto whose bytes lie in another file. */
export function externalTensor(entries: readonly (readonly [string, string])[]): Buffer {
  const external = entries.map(([key, value]) => field(13, Buffer.concat([field(1, key), field(2, value)])));
  return Buffer.concat([integer(1, 4), integer(2, floatTensor), field(8, 'w'), ...external, integer(14, 1)]);
}
