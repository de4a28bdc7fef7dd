import { rearrange } from '../compute/kernels/rearrange.ts';
import { type KernelType, sharedImage } from '../compute/kernels/shared-arrays.ts';
import { type StridedImage, xFastest } from '../imaging/strided-image.ts';
import { type Volume, type VoxelArray, voxelCount } from '../imaging/volume.ts';
import type { MetaImage, RunContext } from './meta-image.ts';
import { imageOfVolume } from './transforms/load-imaged.ts';
import { isSameGrid, resampledTo } from './transforms/spatial-resample.ts';

/**
 * One volume as an image of one channel; several as its channels on the grid of the first, as MONAI's `LoadImaged` stacks
 * files. Where MONAI refuses another grid than the first's, the volume is interpolated onto it, zero beyond its edges.
 *
 * @param warn - told of volumes that were interpolated
 */
export async function imageOfVolumes(
  volumes: readonly Volume[],
  context: RunContext,
  warn?: (message: string) => void,
): Promise<MetaImage> {
  const images = volumes.map(imageOfVolume);
  const [first] = images as [MetaImage];
  if (images.length === 1) return first;
  const { shape } = first.voxels;
  const grid = { affineRas: first.affineRas, shape };
  const onGrid: MetaImage[] = [];
  for (const [n, image] of images.entries()) {
    if (isSameGrid(image, grid)) {
      onGrid.push(image);
      continue;
    }
    const modes = { interpolation: 'bilinear', edge: 'zeros', alignCorners: false } as const;
    onGrid.push(await resampledTo(image, { ...grid, modes, order: xFastest }, context));
    warn?.(`Image ${n + 1} of the input lies on another grid than the first; it was interpolated onto it.`);
  }
  const stack = sharedImage(commonType(onGrid), images.length, shape, xFastest);
  for (const [n, { voxels }] of onGrid.entries()) {
    const start = n * voxelCount(shape);
    const channel = { ...stack, channels: 1, data: stack.data.subarray(start, start + voxelCount(shape)) };
    await rearrange(voxels, channel as typeof stack, context.pool, context.signal);
  }
  return { ...first, voxels: stack as StridedImage<VoxelArray>, owned: true };
}

/** uint8 or uint16 where all are, else float32. */
function commonType(images: readonly MetaImage[]): KernelType {
  const all = (Type: typeof Uint8Array | typeof Uint16Array) =>
    images.every(({ voxels }) => voxels.data instanceof Type);
  return all(Uint8Array) ? 'uint8' : all(Uint16Array) ? 'uint16' : 'float32';
}
