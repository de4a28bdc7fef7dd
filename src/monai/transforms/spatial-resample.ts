import { type AxisSamples, type SampleModes, sampleAxis } from '../../compute/kernels/axis-samples.ts';
import { resampleConfidentArgmax } from '../../compute/kernels/confident-argmax.ts';
import { resampleSeparable } from '../../compute/kernels/resample.ts';
import { resampleOblique } from '../../compute/kernels/resample-oblique.ts';
import { type KernelType, sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { type Affine, identityAffine, multiplyAffines } from '../../imaging/affine.ts';
import { type MemoryOrder, memoryOrderOf, type StridedImage } from '../../imaging/strided-image.ts';
import type { Shape3, VoxelArray } from '../../imaging/volume.ts';
import type { Component } from '../bundle/config-value.ts';
import type { AppliedOperation, MetaImage, RunContext, SeparableInverse } from '../meta-image.ts';
import { labelArrayType } from './label-type.ts';
import { affinesClose, solveAffine } from './spacing-geometry.ts';

/** MONAI's `AFFINE_TOL`: grids closer than this count as the same, and nothing is resampled. */
const affineTolerance = 1e-3;

export interface ResampleTarget {
  readonly affineRas: Affine;
  readonly shape: Shape3;
  readonly modes: SampleModes;
  /** Order in memory of the result; the next step's own order saves it a copy. */
  readonly order: MemoryOrder;
}

/** MONAI `SpatialResample`, traced so that it can be inverted. The result is float32, or labels when nearest. */
export async function spatialResample(
  image: MetaImage,
  target: ResampleTarget,
  by: Component,
  context: RunContext,
): Promise<MetaImage> {
  const result = await resampled(image, target, context);
  return { ...result, applied: [...image.applied, inverseOf(image, target.modes, by)] };
}

/** The image on another grid; nothing is traced. */
export const resampledTo = (image: MetaImage, target: ResampleTarget, context: RunContext): Promise<MetaImage> =>
  resampled(image, target, context);

/** Whether an image lies on a grid within MONAI's tolerance, so that resampling would change nothing. */
export const isSameGrid = (image: MetaImage, grid: Pick<ResampleTarget, 'affineRas' | 'shape'>): boolean =>
  indexMap(image, grid) === undefined;

/** The way back: onto the grid that the image had, in the order that it had in memory. */
function inverseOf(image: MetaImage, modes: SampleModes, by: Component): AppliedOperation {
  const back = (nearest: boolean): ResampleTarget => ({
    affineRas: image.affineRas,
    shape: image.voxels.shape,
    order: memoryOrderOf(image.voxels),
    modes: nearest ? { ...modes, interpolation: 'nearest', alignCorners: false } : modes,
  });
  return {
    by,
    movesVoxels: true,
    invert: (inverse, { nearest }, context) => resampled(inverse, back(nearest), context),
    invertToArgmax: (inverse, context) => resampledArgmax(inverse, back(false), context),
    separableInverse: (grid) => separable(grid, back(false)),
  };
}

async function resampled(image: MetaImage, target: ResampleTarget, context: RunContext): Promise<MetaImage> {
  const map = indexMap(image, target);
  if (!map) return image;
  const { pool, signal } = context;
  const { voxels } = image;
  const nearest = target.modes.interpolation === 'nearest';
  const type = nearest ? sameTypeAs(voxels.data) : 'float32';
  const output = sharedImage(type, voxels.channels, target.shape, target.order);
  const samples = separableSamples(map, voxels.shape, target);
  if (samples) await resampleSeparable(voxels, output, samples, pool, signal);
  else await resampleOblique(voxels, output, { toSource: map, modes: target.modes }, pool, signal);
  return moved(image, map, output, image.fromArgmax && nearest);
}

/** Labels stay labels; everything else becomes float32, as in MONAI. */
const sameTypeAs = (data: VoxelArray): KernelType =>
  data instanceof Uint8Array ? 'uint8' : data instanceof Uint16Array ? 'uint16' : 'float32';

async function resampledArgmax(image: MetaImage, target: ResampleTarget, context: RunContext): Promise<MetaImage> {
  const map = indexMap(image, target);
  const samples = map && separableSamples(map, image.voxels.shape, target);
  if (!map || !samples || !(image.voxels.data instanceof Float32Array)) return resampled(image, target, context);
  const output = sharedImage(labelArrayType(image.voxels.channels), 1, target.shape, target.order);
  const source = image.voxels as StridedImage<Float32Array>;
  await resampleConfidentArgmax(source, output, samples, context.pool, context.signal);
  return moved(image, map, output, true);
}

function separable(image: MetaImage, target: ResampleTarget): SeparableInverse | 'same' | undefined {
  const map = indexMap(image, target);
  if (!map) return 'same';
  const samples = separableSamples(map, image.voxels.shape, target);
  return samples && { samples, shape: target.shape, affineRas: multiplyAffines(image.affineRas, map) };
}

const moved = (image: MetaImage, map: Affine, voxels: StridedImage<VoxelArray>, fromArgmax: boolean): MetaImage => ({
  ...image,
  voxels,
  affineRas: multiplyAffines(image.affineRas, map),
  owned: true,
  fromArgmax,
});

/** Target indices → source indices, or nothing when both grids are the same within MONAI's tolerance. */
function indexMap(image: MetaImage, target: Pick<ResampleTarget, 'affineRas' | 'shape'>): Affine | undefined {
  let map: Affine;
  try {
    map = solveAffine(image.affineRas, target.affineRas);
  } catch (cause) {
    throw new EndpointError('unprocessable_image', 'The geometry of the image is singular.', { cause });
  }
  const same =
    image.voxels.shape.every((size, axis) => size === target.shape[axis]) &&
    (affinesClose(image.affineRas, target.affineRas, affineTolerance) ||
      affinesClose(map, identityAffine, affineTolerance));
  return same ? undefined : map;
}

/** Samples of each axis when the grids are parallel: what the other axes add is far below a voxel's rounding. */
function separableSamples(
  map: Affine,
  from: Shape3,
  { shape, modes }: ResampleTarget,
): [AxisSamples, AxisSamples, AxisSamples] | undefined {
  for (const row of [0, 1, 2] as const) {
    for (const column of [0, 1, 2] as const) {
      if (row !== column && Math.abs(map[(row * 4 + column) as 1]) * shape[column] > 1e-7) return undefined;
    }
  }
  return ([0, 1, 2] as const).map((axis) =>
    sampleAxis(
      { scale: map[(axis * 5) as 0], shift: map[(axis * 4 + 3) as 3], inputSize: from[axis], outputSize: shape[axis] },
      modes,
    ),
  ) as [AxisSamples, AxisSamples, AxisSamples];
}
