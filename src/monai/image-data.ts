import { castInto } from '../compute/kernels/cast.ts';
import type { CastKind } from '../compute/kernels/cast-task.ts';
import { rearrange } from '../compute/kernels/rearrange.ts';
import { type KernelArray, sharedImage } from '../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../errors.ts';
import { memoryOrderOf, type StridedImage } from '../imaging/strided-image.ts';
import type { ImageData, MetaImage, RunContext } from './meta-image.ts';

/** The image of a key. Compiling has checked that it is there. */
export function imageOf(data: ImageData, key: string): MetaImage {
  const image = data.get(key);
  if (!image) throw new EndpointError('internal', `The bundle has no image '${key}' at this step.`);
  return image;
}

/**
 * The voxels as float32 that may be overwritten: the image's own memory when nothing else reads it, else a copy with
 * the same order in memory.
 */
export async function writableFloats(image: MetaImage, context: RunContext): Promise<StridedImage<Float32Array>> {
  const { voxels } = image;
  if (image.owned && voxels.data instanceof Float32Array) return voxels as StridedImage<Float32Array>;
  const copy = sharedImage('float32', voxels.channels, voxels.shape, memoryOrderOf(voxels));
  await rearrange(voxels, copy, context.pool, context.signal);
  return copy;
}

/** The voxels, in a type that kernels write, that may be overwritten; a copy with the same order unless they are the image's own. */
export async function writableVoxels(image: MetaImage, context: RunContext): Promise<StridedImage<KernelArray>> {
  const { voxels } = image;
  const { data } = voxels;
  const type = data instanceof Uint8Array ? 'uint8' : data instanceof Uint16Array ? 'uint16' : 'float32';
  if (image.owned && (type !== 'float32' || data instanceof Float32Array)) return voxels as StridedImage<KernelArray>;
  const copy = sharedImage(type, voxels.channels, voxels.shape, memoryOrderOf(voxels));
  await rearrange(voxels, copy, context.pool, context.signal);
  return copy;
}

/** Element types that values can be cast to. Whole numbers other than uint8 and uint16 are kept as the floats that hold them. */
export const castTypes = [
  'float32',
  'float64',
  'float16',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'bool',
] as const;

export type CastType = (typeof castTypes)[number];

/** The image with the values that an element type holds. float64 is kept as float32: an image has no finer values. */
export async function castTo(image: MetaImage, type: CastType, context: RunContext): Promise<MetaImage> {
  const { voxels } = image;
  if (type === 'float32' || type === 'float64')
    return voxels.data instanceof Float32Array
      ? image
      : { ...image, voxels: await writableFloats(image, context), owned: true };
  const stored = type === 'uint8' || type === 'bool' ? 'uint8' : type === 'uint16' ? 'uint16' : 'float32';
  const target = sharedImage(stored, voxels.channels, voxels.shape, memoryOrderOf(voxels));
  await castInto(voxels, target, type satisfies CastKind, context.pool, context.signal);
  return { ...image, voxels: target, owned: true };
}

/** An array for voxel-wise results: the image's own when it may be overwritten, else a new one with its order in memory. */
export function floatTarget(image: MetaImage): StridedImage<Float32Array> {
  const { voxels } = image;
  return image.owned && voxels.data instanceof Float32Array
    ? (voxels as StridedImage<Float32Array>)
    : sharedImage('float32', voxels.channels, voxels.shape, memoryOrderOf(voxels));
}
