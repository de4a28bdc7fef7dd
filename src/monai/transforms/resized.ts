import type { AxisSamples } from '../../compute/kernels/axis-samples.ts';
import { resampleConfidentArgmax } from '../../compute/kernels/confident-argmax.ts';
import { interpolate } from '../../compute/kernels/interpolate.ts';
import { resampleSeparable } from '../../compute/kernels/resample.ts';
import { resizeArea } from '../../compute/kernels/resize-area.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { type Affine, identityAffine, multiplyAffines } from '../../imaging/affine.ts';
import { type MemoryOrder, memoryOrderOf, type StridedImage, zFastest } from '../../imaging/strided-image.ts';
import type { Shape3 } from '../../imaging/volume.ts';
import type { ConfigValue } from '../bundle/config-value.ts';
import type { AppliedOperation, MetaImage, RunContext } from '../meta-image.ts';
import { eachImage } from './each-image.ts';
import { interpolatedAxis, type ResizeMode } from './interpolated-axis.ts';
import { labelArrayType } from './label-type.ts';
import { type PerAxis, readPerAxis, sizesFor, spatialDimsOf, type Triple } from './per-axis.ts';
import { storedType } from './regrid.ts';
import type { TransformDefinition } from './transform.ts';

const maxVoxels = 2 ** 31;

interface Resizing {
  readonly mode: ResizeMode;
  readonly alignCorners: boolean;
}

/** MONAI `Resized`: to `spatial_size` voxels, as torch's `interpolate` does it. */
export const resized: TransformDefinition = {
  target: 'Resized',
  compile(args) {
    const keys = args.keys();
    const size = readPerAxis(args, 'spatial_size', true);
    const sizeMode = args.choice('size_mode', ['all', 'longest'], 'all');
    if (sizeMode === 'longest' && typeof size !== 'number')
      throw args.refuse("'spatial_size' must be one number where 'size_mode' is longest");
    if (sizeMode === 'all' && typeof size === 'number')
      throw args.refuse("'spatial_size' must be a list with a number for each axis");
    const modes = args.perKey<ResizeMode>(
      'mode',
      keys.length,
      'area',
      readMode,
      'area, nearest, nearest-exact or bilinear',
    );
    const corners = args.perKey<boolean | null>(
      'align_corners',
      keys.length,
      null,
      (value) => (value === null || typeof value === 'boolean' ? value : undefined),
      'True, False or None',
    );
    if (corners.some((given, n) => given !== null && modes[n] !== 'linear'))
      throw args.refuse("'align_corners' goes with a linear mode only");
    args.only('anti_aliasing', false);
    args.only('anti_aliasing_sigma', null);
    args.only('lazy', false, null);
    args.perKeyDtype('dtype', keys.length, ['float32', 'float64'], 'float32');
    args.accept('allow_missing_keys');
    args.finish();
    return eachImage(args, keys, async (image, n, context) => {
      const shape = targetShape(image, size, sizeMode);
      const how = { mode: modes[n] as ResizeMode, alignCorners: corners[n] === true };
      const result = await toShape(image, shape, how, zFastest, context);
      const affineRas = multiplyAffines(image.affineRas, scaling(image.voxels.shape, shape, how.alignCorners));
      const applied = [...image.applied, inverseOf(image, how, args.component)];
      return { ...result, affineRas, applied };
    });
  },
};

function readMode(value: ConfigValue): ResizeMode | undefined {
  if (value === 'linear' || value === 'bilinear' || value === 'trilinear') return 'linear';
  return value === 'area' || value === 'nearest' || value === 'nearest-exact' ? value : undefined;
}

function targetShape(image: MetaImage, size: PerAxis, sizeMode: 'all' | 'longest'): Shape3 {
  let shape: Triple = sizeMode === 'all' ? sizesFor(size, image) : image.voxels.shape;
  if (sizeMode === 'longest') {
    const scale = (size as number) / Math.max(...shape.slice(0, spatialDimsOf(image)));
    shape = shape.map((n, axis) => (axis < spatialDimsOf(image) ? halfToEven(n * scale) : n)) as unknown as Triple;
  }
  if (shape.some((n) => n < 1) || shape[0] * shape[1] * shape[2] * image.voxels.channels > maxVoxels)
    throw new EndpointError('unprocessable_image', `The bundle resizes the image to ${shape.join(' × ')} voxels.`);
  return shape;
}

/** Python's `round`. */
function halfToEven(value: number): number {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** Linear and area give float32; nearest keeps labels. */
async function toShape(
  image: MetaImage,
  shape: Shape3,
  { mode, alignCorners }: Resizing,
  order: MemoryOrder,
  { pool, signal }: RunContext,
): Promise<MetaImage> {
  const { voxels } = image;
  if (shape.every((size, axis) => size === voxels.shape[axis])) return image;
  if (mode === 'area') {
    const target = sharedImage('float32', voxels.channels, shape, order);
    await resizeArea(voxels, target, pool, signal);
    return { ...image, voxels: target, owned: true, fromArgmax: false };
  }
  const type = mode === 'linear' ? 'float32' : storedType(voxels.data);
  const target = sharedImage(type, voxels.channels, shape, order);
  const resample = mode === 'linear' ? interpolate : resampleSeparable;
  await resample(voxels, target, samplesOf(voxels.shape, shape, mode, alignCorners), pool, signal);
  return { ...image, voxels: target, owned: true, fromArgmax: image.fromArgmax && mode !== 'linear' };
}

const samplesOf = (from: Shape3, to: Shape3, mode: Exclude<ResizeMode, 'area'>, alignCorners: boolean) =>
  ([0, 1, 2] as const).map((axis) => interpolatedAxis(from[axis], to[axis], mode, alignCorners)) as [
    AxisSamples,
    AxisSamples,
    AxisSamples,
  ];

/** The way back: to the size that the image had, in the order that it had in memory. */
function inverseOf(image: MetaImage, how: Resizing, by: AppliedOperation['by']): AppliedOperation {
  const { shape } = image.voxels;
  const order = memoryOrderOf(image.voxels);
  const geometry = { affineRas: image.affineRas };
  return {
    by,
    movesVoxels: true,
    async invert(inverse, { nearest }, context) {
      const back: Resizing = nearest ? { mode: 'nearest', alignCorners: false } : how;
      return { ...(await toShape(inverse, shape, back, order, context)), ...geometry };
    },
    ...(how.mode === 'linear' && {
      async invertToArgmax(inverse: MetaImage, { pool, signal }: RunContext): Promise<MetaImage> {
        const source = inverse.voxels as StridedImage<Float32Array>;
        const isSame = shape.every((size, axis) => size === source.shape[axis]);
        if (isSame) return { ...inverse, ...geometry };
        if (!(source.data instanceof Float32Array))
          return { ...(await toShape(inverse, shape, how, order, { pool, signal })), ...geometry };
        const target = sharedImage(labelArrayType(source.channels), 1, shape, order);
        const samples = samplesOf(source.shape, shape, 'linear', how.alignCorners);
        await resampleConfidentArgmax(source, target, samples, pool, signal);
        return { ...inverse, ...geometry, voxels: target, owned: true, fromArgmax: true };
      },
    }),
  };
}

/** MONAI `scale_affine`: steps grow as sizes shrink, the image's edges stay where they are. */
function scaling(from: Shape3, to: Shape3, alignCorners: boolean): Affine {
  const scale = ([0, 1, 2] as const).map((axis) => {
    if (!alignCorners) return from[axis] / Math.max(to[axis], 1);
    return to[axis] === 1 ? 0 : (from[axis] - 1) / (to[axis] - 1);
  }) as [number, number, number];
  if (from.every((size, axis) => size === to[axis])) return identityAffine;
  const shift = scale.map((value) => (alignCorners ? 0 : (value - 1) / 2)) as [number, number, number];
  return [scale[0], 0, 0, shift[0], 0, scale[1], 0, shift[1], 0, 0, scale[2], shift[2], 0, 0, 0, 1];
}
