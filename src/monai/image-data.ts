import { rearrange } from '../compute/kernels/rearrange.ts';
import { sharedImage } from '../compute/kernels/shared-arrays.ts';
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

/** An array for voxel-wise results: the image's own when it may be overwritten, else a new one with its order in memory. */
export function floatTarget(image: MetaImage): StridedImage<Float32Array> {
  const { voxels } = image;
  return image.owned && voxels.data instanceof Float32Array
    ? (voxels as StridedImage<Float32Array>)
    : sharedImage('float32', voxels.channels, voxels.shape, memoryOrderOf(voxels));
}
