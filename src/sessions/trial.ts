/** The trial of a network when it is loaded: what it is given, and what its answer must be. */
import { EndpointError } from '../errors.ts';
import type { NetworkSignature, Tensor, TensorData, TensorInfo, TensorType } from '../imaging/tensor.ts';

/** Shape of each input, by name. */
export type TrialShapes = Readonly<Record<string, readonly number[]>>;
type Tensors = Readonly<Record<string, Tensor>>;

/**
 * Shapes for a trial: those that the ONNX file declares, a batch of one, and the bundle's window where the file leaves
 * the spatial axes open. Undefined when that does not tell them all.
 *
 * @param windowShape - spatial axes of the windows that the bundle gives its network
 */
export function trialShapes({ inputs }: NetworkSignature, windowShape?: readonly number[]): TrialShapes | undefined {
  const shapes: Record<string, readonly number[]> = {};
  for (const { name, dims } of inputs) {
    const spatialFrom = dims.length - (windowShape?.length ?? 0);
    const shape = dims.map((dim, axis) => {
      if (typeof dim === 'number' && dim > 0) return dim;
      if (axis === 0 && dims.length > 1) return 1;
      // N, C and the spatial axes: a channel count that is open is told by nobody.
      return spatialFrom === 2 ? windowShape?.[axis - spatialFrom] : undefined;
    });
    if (!shape.every((size): size is number => size !== undefined && size > 0)) return undefined;
    shapes[name] = shape;
  }
  return shapes;
}

export function trialElements(shapes: TrialShapes): number {
  return Object.values(shapes).reduce((sum, shape) => sum + sizeOf(shape), 0);
}

/** Made-up inputs, the same each time: floats of 0.25 to 0.5, since a flat image may be divided by its spread; else 0. */
export function trialInputs({ inputs }: NetworkSignature, shapes: TrialShapes): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const { name, type } of inputs) {
    const dims = shapes[name];
    if (dims) tensors[name] = { type, dims, data: trialData(type, sizeOf(dims)) };
  }
  return tensors;
}

/**
 * Checks that every declared output is there, of its type, and holds no NaN.
 *
 * @throws EndpointError `unsupported_bundle`
 */
export function checkTrialOutputs(outputs: readonly TensorInfo[], answer: Tensors): void {
  for (const { name, type } of outputs) {
    const tensor = answer[name];
    if (!tensor) throw refusal(`gives no output '${name}'`);
    if (tensor.type !== type) throw refusal(`gives '${name}' as ${tensor.type}; it declares ${type}`);
    if (tensor.data.length === 0) throw refusal(`gives an empty '${name}'`);
    if (hasNaN(tensor)) throw refusal(`gives values in '${name}' that are not numbers (NaN)`);
  }
}

/** A network that fails on a made-up input; `why` says how, without a subject. */
export function refusal(why: string): EndpointError {
  const message = `On a made-up input of the declared shape, models/model.onnx ${why}. WARM_UP=false loads it untried.`;
  return new EndpointError('unsupported_bundle', message, { details: { file: 'models/model.onnx' } });
}

const sizeOf = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

function trialData(type: TensorType, length: number): TensorData {
  switch (type) {
    case 'float32':
      return new Float32Array(length).map((_, i) => trialValue(i));
    case 'float64':
      return new Float64Array(length).map((_, i) => trialValue(i));
    case 'float16':
      return new Uint16Array(length).map((_, i) => 0x3400 + ((i * 31) % 1024)); // the bits of 0.25 to 0.5
    case 'int16':
      return new Int16Array(length);
    case 'uint16':
      return new Uint16Array(length);
    case 'int32':
      return new Int32Array(length);
    case 'uint32':
      return new Uint32Array(length);
    case 'int64':
      return new BigInt64Array(length);
    case 'uint64':
      return new BigUint64Array(length);
    case 'int8':
      return new Int8Array(length);
    case 'uint8':
    case 'bool':
      return new Uint8Array(length);
  }
}

const trialValue = (i: number): number => 0.25 + ((i * 31) % 1024) / 4096;

function hasNaN({ type, data }: Tensor): boolean {
  if (type === 'float16') return (data as Uint16Array).some((bits) => (bits & 0x7fff) > 0x7c00);
  if (type !== 'float32' && type !== 'float64') return false;
  return (data as Float32Array).some((value) => Number.isNaN(value));
}
