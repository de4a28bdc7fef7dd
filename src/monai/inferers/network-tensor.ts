import { rearrange } from '../../compute/kernels/rearrange.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { fromHalf, toHalf } from '../../imaging/float16.ts';
import type { AnswerRoom } from '../../imaging/network.ts';
import { type StridedImage, sameLayout, stridedOver, zFastest } from '../../imaging/strided-image.ts';
import type { Tensor } from '../../imaging/tensor.ts';
import { type Shape3, voxelCount } from '../../imaging/volume.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import type { BoundNetwork } from './inferer.ts';
import type { WindowForm } from './network-form.ts';

/** Floats copied in one go in the calling thread: a few milliseconds. */
const copyStep = 4 * 1024 * 1024;

/** The image in a network's order (C, X, Y, Z; z fastest) as float32; the image's own memory when it already is so. */
export async function inNetworkOrder(image: MetaImage, context: RunContext): Promise<StridedImage<Float32Array>> {
  const { voxels } = image;
  if (
    voxels.data instanceof Float32Array &&
    voxels.offset === 0 &&
    voxels.data.length === voxels.channels * voxelCount(voxels.shape)
  ) {
    const ordered = stridedOver(voxels.data, voxels.channels, voxels.shape, zFastest);
    if (sameLayout(voxels, ordered)) return ordered;
  }
  const copy = sharedImage('float32', voxels.channels, voxels.shape, zFastest);
  await rearrange(voxels, copy, context.pool, context.signal);
  return copy;
}

/** What the network gave for each row of a batch. */
export interface NetworkAnswer {
  /** Rows one after another, each (C, X, Y, Z) with z fastest. */
  readonly values: Float32Array;
  readonly channels: number;
  /** An axis that the network's answer does not have is 1. */
  readonly shape: Shape3;
}

/**
 * Runs the network on a batch of equally formed windows.
 *
 * @param data - `rows` windows one after another, each (C, X, Y, Z) with z fastest
 * @throws EndpointError `model_failed`: no such output, or not an answer a row
 */
export async function runNetwork(
  bound: BoundNetwork,
  data: Float32Array,
  rows: number,
  form: WindowForm,
  signal: AbortSignal,
  room?: AnswerRoom,
): Promise<NetworkAnswer> {
  const { network, input, output } = bound;
  const dims = [rows, form.channels, ...form.axes.map((axis) => form.shape[axis])];
  const answer = await network.run({ [input.name]: toTensor(input.type, dims, data) }, signal, room);
  const tensor = answer[output.name];
  if (!tensor) throw new EndpointError('model_failed', `The network gave no output '${output.name}'.`);
  const [batch, channels = 1, ...sizes] = tensor.dims;
  if (batch !== rows || channels < 1 || sizes.length > 3) {
    throw new EndpointError(
      'model_failed',
      `The network answered ${tensor.dims.join(' × ')} to ${dims.join(' × ')}: an answer for each of ${rows} was expected.`,
    );
  }
  const shape: [number, number, number] = [1, 1, 1];
  const axes = sizes.length === form.axes.length ? form.axes : ([0, 1, 2] as const);
  sizes.forEach((size, n) => {
    shape[axes[n] as 0] = size;
  });
  const values = floatsOf(tensor);
  if (values.length !== rows * channels * voxelCount(shape) || values.length === 0)
    throw new EndpointError('model_failed', 'The network’s answer has not the length that its shape says.');
  return { values, channels, shape };
}

/** Floats as a network's input takes them. */
export function toTensor(type: Tensor['type'], dims: readonly number[], data: Float32Array): Tensor {
  switch (type) {
    case 'float16': {
      const bits = new Uint16Array(data.length);
      toHalf(data, bits);
      return { type, dims, data: bits };
    }
    case 'float64':
      return { type, dims, data: Float64Array.from(data) };
    default:
      return { type: 'float32', dims, data };
  }
}

/** An answer as floats. */
export function floatsOf({ type, data }: Tensor): Float32Array {
  switch (type) {
    case 'float32':
      return data as Float32Array;
    case 'float16': {
      const values = new Float32Array(data.length);
      fromHalf(data as Uint16Array, values);
      return values;
    }
    case 'float64':
    case 'uint8':
    case 'int8':
    case 'bool':
      return Float32Array.from(data as Float64Array | Uint8Array | Int8Array);
    case 'int64':
      return Float32Array.from(data as BigInt64Array, Number);
    case 'int32':
    case 'int16':
    case 'uint16':
      return Float32Array.from(data as Int32Array | Int16Array | Uint16Array);
    default:
      throw new EndpointError('model_failed', `The network answers in ${type}, which is not read.`);
  }
}

/** The values in shared memory, copied in steps that let the event loop breathe when they are not. */
export async function toShared(values: Float32Array): Promise<Float32Array> {
  if (values.buffer instanceof SharedArrayBuffer) return values;
  const shared = new Float32Array(new SharedArrayBuffer(values.byteLength));
  for (let from = 0; from < values.length; from += copyStep) {
    shared.set(values.subarray(from, from + copyStep), from);
    await new Promise(setImmediate);
  }
  return shared;
}
