import { rearrange } from '../../compute/kernels/rearrange.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { type StridedImage, sameLayout, stridedOver, zFastest } from '../../imaging/strided-image.ts';
import type { Tensor } from '../../imaging/tensor.ts';
import { type Shape3, voxelCount } from '../../imaging/volume.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import type { BoundNetwork } from './inferer.ts';

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

/** The network's answer to one input, its form checked: (1, C, X, Y, Z) as float32 on the same grid. */
export async function runNetwork(
  { network, input, output }: BoundNetwork,
  data: Float32Array,
  channels: number,
  shape: Shape3,
  signal: AbortSignal,
): Promise<{ readonly values: Float32Array; readonly channels: number }> {
  const answer = await network.run({ [input]: { type: 'float32', dims: [1, channels, ...shape], data } }, signal);
  const tensor = answer[output];
  if (!tensor) throw new EndpointError('model_failed', `The network gave no output '${output}'.`);
  const [batch, outChannels = 0, ...outShape] = tensor.dims;
  const sameGrid = outShape.length === 3 && outShape.every((size, axis) => size === shape[axis]);
  if (batch !== 1 || outChannels < 1 || !sameGrid) {
    throw new EndpointError(
      'model_failed',
      `The network answered ${tensor.dims.join(' × ')} to 1 × ${channels} × ${shape.join(' × ')}: the same grid was expected.`,
    );
  }
  const values = floatsOf(tensor);
  if (values.length !== outChannels * voxelCount(shape))
    throw new EndpointError('model_failed', 'The network’s answer has not the length that its shape says.');
  return { values, channels: outChannels };
}

function floatsOf(tensor: Tensor): Float32Array {
  if (tensor.data instanceof Float32Array) return tensor.data;
  if (tensor.type === 'float64' || tensor.type === 'uint8' || tensor.type === 'int8')
    return Float32Array.from(tensor.data as Float64Array | Uint8Array | Int8Array);
  throw new EndpointError('model_failed', `The network answers in ${tensor.type}; only float32 is supported.`);
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
