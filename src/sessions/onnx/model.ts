import { type ProtobufField, ProtobufMessage, protobufFields, protobufIntegers } from './protobuf.ts';

/** Field numbers of onnx/onnx.proto (IR version 13). */
const model = { graph: 7, opsetImport: 8 } as const;
const opset = { domain: 1, version: 2 } as const;
const graph = { node: 1, initializer: 5, input: 11 } as const;
const node = { input: 1, output: 2, name: 3, opType: 4, attribute: 5, domain: 7 } as const;
const attribute = { name: 1, float: 2, integer: 3, text: 4, integers: 8, type: 20 } as const;
const tensor = { dims: 1, dataType: 2, floatData: 4, name: 8, rawData: 9, dataLocation: 14 } as const;
const attributeType = { float: 1, integer: 2, integers: 7 } as const;
const dataType = { float32: 1, int64: 7 } as const;

/** A node of the main graph. */
export interface OnnxNode {
  readonly opType: string;
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** Integers, lists of them, and texts; attributes of other kinds stand here as undefined. */
  readonly attributes: ReadonlyMap<string, number | readonly number[] | string | undefined>;
}

/** A constant of the main graph, C-order. */
export interface OnnxFloats {
  readonly dims: readonly number[];
  readonly data: Float32Array;
}

/** An attribute's value: integers, or what is named a float. */
type AttributeValue = number | number[] | { readonly float: number };

/** Makes new nodes and constants for one that is replaced. */
export interface OnnxBuilder {
  /** Adds a node with one output; gives the output's name. `output` names it, else it gets a name of its own. */
  node(opType: string, inputs: readonly string[], attributes?: Record<string, AttributeValue>, output?: string): string;
  floats(dims: readonly number[], data: Float32Array): string;
  integers(values: readonly number[]): string;
}

/** The constants that a replacement may look at. */
export interface OnnxConstants {
  /** undefined: no such constant, or one that is not float32. */
  floats(name: string): OnnxFloats | undefined;
}

const text = (field: ProtobufField | undefined): string => (field ? Buffer.from(field.bytes).toString('utf8') : '');
const texts = (fields: readonly ProtobufField[], number: number): string[] =>
  fields.filter((field) => field.number === number).map(text);
const find = (fields: readonly ProtobufField[], number: number) => fields.find((field) => field.number === number);

/**
 * Replaces nodes of a model's main graph by others that compute the same.
 *
 * @param replace - adds the new nodes to the builder and returns true, or leaves the node as it is
 * @returns the new model; undefined when no node was replaced
 * @throws RangeError when the bytes are no protobuf message
 */
export function replaceOnnxNodes(
  bytes: Uint8Array,
  minOpset: number,
  replace: (node: OnnxNode, constants: OnnxConstants, builder: OnnxBuilder) => boolean,
): Uint8Array | undefined {
  const fields = [...protobufFields(bytes)];
  const main = find(fields, model.graph);
  if (!main || opsetOf(fields) < minOpset) return undefined;
  const graphFields = [...protobufFields(main.bytes)];
  const constants = new GraphConstants(graphFields);
  // A model that refers to files beside it can be loaded from its own file only.
  if (constants.hasExternalData) return undefined;
  const out = new ProtobufMessage();
  const added = new ProtobufMessage();
  let replaced = 0;
  for (const field of graphFields) {
    const builder = field.number === graph.node ? new GraphBuilder(`map-endpoint/${replaced}`, added) : undefined;
    if (builder && replace(parseNode(field.bytes), constants, builder)) {
      replaced++;
      for (const made of builder.nodes) out.message(graph.node, made);
    } else {
      out.raw(field.raw);
    }
  }
  if (replaced === 0) return undefined;
  const rewritten = new ProtobufMessage();
  for (const field of fields) if (field !== main) rewritten.raw(field.raw);
  return rewritten.message(model.graph, out.raw(added.finish())).finish();
}

function opsetOf(fields: readonly ProtobufField[]): number {
  for (const field of fields.filter(({ number }) => number === model.opsetImport)) {
    const own = [...protobufFields(field.bytes)];
    if (text(find(own, opset.domain)) === '') return find(own, opset.version)?.value ?? 0;
  }
  return 0;
}

function parseNode(bytes: Uint8Array): OnnxNode {
  const fields = [...protobufFields(bytes)];
  const attributes = fields
    .filter(({ number }) => number === node.attribute)
    .map(({ bytes: one }) => parseAttribute(one));
  return {
    opType: text(find(fields, node.opType)),
    domain: text(find(fields, node.domain)),
    inputs: texts(fields, node.input),
    outputs: texts(fields, node.output),
    attributes: new Map(attributes),
  };
}

function parseAttribute(bytes: Uint8Array): [string, number | number[] | string | undefined] {
  const fields = [...protobufFields(bytes)];
  const name = text(find(fields, attribute.name));
  const integer = find(fields, attribute.integer);
  const word = find(fields, attribute.text);
  const integers = protobufIntegers(fields, attribute.integers);
  if (integers.length > 0) return [name, integers];
  return [name, integer ? integer.value : word && text(word)];
}

class GraphConstants implements OnnxConstants {
  readonly #tensors = new Map<string, readonly ProtobufField[]>();
  readonly hasExternalData: boolean;

  constructor(graphFields: readonly ProtobufField[]) {
    for (const field of graphFields) {
      if (field.number !== graph.initializer) continue;
      const fields = [...protobufFields(field.bytes)];
      this.#tensors.set(text(find(fields, tensor.name)), fields);
    }
    this.hasExternalData = [...this.#tensors.values()].some((fields) => find(fields, tensor.dataLocation)?.value === 1);
    // A constant that is an input as well is only a default.
    for (const field of graphFields) {
      if (field.number === graph.input) this.#tensors.delete(text(find([...protobufFields(field.bytes)], 1)));
    }
  }

  floats(name: string): OnnxFloats | undefined {
    const fields = this.#tensors.get(name);
    if (!fields || find(fields, tensor.dataType)?.value !== dataType.float32) return undefined;
    const dims = protobufIntegers(fields, tensor.dims);
    const bytes = (find(fields, tensor.rawData) ?? find(fields, tensor.floatData))?.bytes;
    const length = dims.reduce((product, dim) => product * dim, 1);
    if (!bytes || bytes.length !== 4 * length) return undefined;
    return { dims, data: new Float32Array(new Uint8Array(bytes).buffer) };
  }
}

class GraphBuilder implements OnnxBuilder {
  readonly nodes: ProtobufMessage[] = [];
  readonly #prefix: string;
  readonly #initializers: ProtobufMessage;
  #names = 0;

  constructor(prefix: string, initializers: ProtobufMessage) {
    this.#prefix = prefix;
    this.#initializers = initializers;
  }

  node(opType: string, inputs: readonly string[], attributes = {}, output = this.#name()): string {
    const message = new ProtobufMessage();
    for (const input of inputs) message.text(node.input, input);
    message.text(node.output, output).text(node.name, this.#name()).text(node.opType, opType);
    for (const [name, value] of Object.entries<AttributeValue>(attributes)) {
      const made = new ProtobufMessage().text(attribute.name, name);
      if (typeof value === 'number')
        made.integer(attribute.integer, value).integer(attribute.type, attributeType.integer);
      else if ('float' in value) made.float(attribute.float, value.float).integer(attribute.type, attributeType.float);
      else made.integers(attribute.integers, value).integer(attribute.type, attributeType.integers);
      message.message(node.attribute, made);
    }
    this.nodes.push(message);
    return output;
  }

  floats(dims: readonly number[], data: Float32Array): string {
    return this.#constant(dims, dataType.float32, data);
  }

  integers(values: readonly number[]): string {
    return this.#constant([values.length], dataType.int64, BigInt64Array.from(values.map(BigInt)));
  }

  #constant(dims: readonly number[], type: number, data: Float32Array | BigInt64Array): string {
    const name = this.#name();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const message = new ProtobufMessage().integers(tensor.dims, dims).integer(tensor.dataType, type);
    this.#initializers.message(graph.initializer, message.text(tensor.name, name).bytes(tensor.rawData, bytes));
    return name;
  }

  #name(): string {
    return `${this.#prefix}/${this.#names++}`;
  }
}
