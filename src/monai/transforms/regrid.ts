import type { AxisSamples } from '../../compute/kernels/axis-samples.ts';
import { padStatistic } from '../../compute/kernels/pad-statistic.ts';
import { rearrange } from '../../compute/kernels/rearrange.ts';
import { resampleSeparable } from '../../compute/kernels/resample.ts';
import { type KernelArray, type KernelType, sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { type Affine, identityAffine, multiplyAffines } from '../../imaging/affine.ts';
import { cropped, type StridedImage, zFastest } from '../../imaging/strided-image.ts';
import type { Shape3, VoxelArray } from '../../imaging/volume.ts';
import type { Component } from '../bundle/config-value.ts';
import type { AppliedOperation, MetaImage, RunContext } from '../meta-image.ts';
import { argmaxOf } from './argmax.ts';
import { type PadFill, zeroFill } from './padding.ts';
import type { Triple } from './per-axis.ts';

/** A box of whole voxels, inside or around an image: where it begins (negative: before the image) and its size. */
export interface Box {
  readonly start: Triple;
  readonly shape: Shape3;
}

/** A box larger than this is a mistake in the bundle, and would not fit in memory. */
const maxVoxels = 2 ** 31;

/** The image cropped and padded to a box, traced so that it can be inverted. */
export async function regridded(
  image: MetaImage,
  box: Box,
  fill: PadFill,
  by: Component,
  context: RunContext,
): Promise<MetaImage> {
  const result = await boxOf(image, box, fill, context);
  return { ...result, applied: [...image.applied, inverseOf(image.voxels.shape, box, by)] };
}

/** What was cropped becomes zero, what was padded goes. */
function inverseOf(shape: Shape3, { start }: Box, by: Component): AppliedOperation {
  const back: Box = { start: start.map((at) => 0 - at) as unknown as Triple, shape };
  return {
    by,
    movesVoxels: true,
    invert: (image, _options, context) => boxOf(image, back, zeroFill, context),
    // The largest of equal zeros is the first: channel 0, as in a label map's own padding.
    invertToArgmax: async (image, context) => boxOf(await argmaxOf(image, false, context), back, zeroFill, context),
  };
}

async function boxOf(image: MetaImage, { start, shape }: Box, fill: PadFill, context: RunContext): Promise<MetaImage> {
  const { voxels } = image;
  if (shape.some((size) => size < 1))
    throw new EndpointError('unprocessable_image', 'Nothing of the image is left after the bundle crops it.');
  if (shape[0] * shape[1] * shape[2] * voxels.channels > maxVoxels)
    throw new EndpointError('unprocessable_image', `The bundle pads the image to ${shape.join(' × ')} voxels.`);
  const affineRas = multiplyAffines(image.affineRas, translation(start));
  if (start.every((at, axis) => at === 0 && shape[axis] === voxels.shape[axis])) return { ...image, affineRas };
  const target = sharedImage(storedType(voxels.data), voxels.channels, shape, zFastest);
  if (fill.kind === 'constant' && fill.value !== 0) target.data.fill(fill.value);
  await placeInside(voxels, target, start, fill, context);
  return { ...image, voxels: target, affineRas, owned: true };
}

/** Copies what image and box have in common, and fills the rest from it. */
async function placeInside(
  source: StridedImage<VoxelArray>,
  target: StridedImage<KernelArray>,
  start: Triple,
  fill: PadFill,
  { pool, signal }: RunContext,
): Promise<void> {
  const from = start.map((at) => Math.max(0, at)) as unknown as Triple;
  const into = start.map((at) => Math.max(0, -at)) as unknown as Triple;
  const common = ([0, 1, 2] as const).map((axis) =>
    Math.min(source.shape[axis] - from[axis], target.shape[axis] - into[axis]),
  ) as unknown as Shape3;
  if (common.some((size) => size < 1)) return;
  const inside = cropped(source, from, common);
  if (fill.kind === 'copied') {
    const samples = ([0, 1, 2] as const).map((axis) =>
      copiedAxis(common[axis], target.shape[axis], -into[axis], fill.from),
    ) as [AxisSamples, AxisSamples, AxisSamples];
    await resampleSeparable(inside, target, samples, pool, signal);
    return;
  }
  await rearrange(inside, cropped(target, into, common), pool, signal);
  if (fill.kind === 'statistic')
    await padStatistic({ image: target, start: into, shape: common, statistic: fill.of }, pool, signal);
}

/** Which voxel each position of the box repeats. */
function copiedAxis(
  size: number,
  boxSize: number,
  start: number,
  from: 'replicate' | 'reflect' | 'circular' | 'symmetric',
): AxisSamples {
  if (from === 'reflect' && Math.max(-start, start + boxSize - size) >= size)
    throw new EndpointError('unprocessable_image', "The image is too small for the bundle's padding 'reflect'.");
  const modulo = (at: number, period: number): number => ((at % period) + period) % period;
  const index0 = Int32Array.from({ length: boxSize }, (_, n) => {
    const at = n + start;
    if (from === 'circular') return modulo(at, size);
    if (from === 'replicate') return Math.min(Math.max(at, 0), size - 1);
    if (from === 'reflect') return at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at;
    const turn = modulo(at, 2 * size);
    return turn < size ? turn : 2 * size - 1 - turn;
  });
  const zeros = new Float64Array(boxSize);
  return { index0, index1: index0, weight0: new Float64Array(boxSize).fill(1), weight1: zeros };
}

/** Labels stay labels; everything else is float32. */
export const storedType = (data: VoxelArray): KernelType =>
  data instanceof Uint8Array ? 'uint8' : data instanceof Uint16Array ? 'uint16' : 'float32';

const translation = ([x, y, z]: Triple): Affine =>
  identityAffine.with(3, x).with(7, y).with(11, z) as unknown as Affine;
