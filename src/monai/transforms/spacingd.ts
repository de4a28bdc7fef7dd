import type { EdgeMode, Interpolation, SampleModes } from '../../compute/kernels/axis-samples.ts';
import { EndpointError } from '../../errors.ts';
import { type Affine, spacingMm } from '../../imaging/affine.ts';
import { zFastest } from '../../imaging/strided-image.ts';
import type { Arguments } from '../arguments.ts';
import { type ConfigValue, isList } from '../bundle/config-value.ts';
import { imageOf } from '../image-data.ts';
import type { MetaImage } from '../meta-image.ts';
import { shapeAndOffset, zoomAffine } from './spacing-geometry.ts';
import { spatialResample } from './spatial-resample.ts';
import type { TransformDefinition } from './transform.ts';

const tolerance = 1e-3;
/** A grid larger than this is a mistake in the geometry or the bundle, and would not fit in memory. */
const maxVoxels = 2 ** 31;

interface SpacingOptions {
  readonly pixdim: readonly number[];
  readonly minPixdim: readonly number[];
  readonly maxPixdim: readonly number[];
  readonly diagonal: boolean;
}

/** MONAI `Spacingd`: resamples to the voxel sizes `pixdim`, keeping orientation and the first voxel's place. */
export const spacingd: TransformDefinition = {
  target: 'Spacingd',
  compile(args) {
    const keys = args.keys();
    const options = readOptions(args);
    const modes = readModes(args, keys.length);
    const scaleExtent = args.perKeyBoolean('scale_extent', keys.length, false);
    const sameShape = args.boolean('ensure_same_shape', true);
    args.finish();
    return {
      component: args.component,
      keys,
      async apply(data, context) {
        let first: { readonly image: MetaImage; readonly shape: readonly [number, number, number] } | undefined;
        for (const [n, key] of keys.entries()) {
          const image = imageOf(data, key);
          const grid = targetGrid(image, options, scaleExtent[n] as boolean);
          const shape = first && sameShape && sameGeometry(first.image, image) ? first.shape : grid.shape;
          const target = { ...grid, shape, modes: modes[n] as SampleModes, order: zFastest };
          data.set(key, await spatialResample(image, target, args.component, context));
          first ??= { image, shape };
        }
      },
    };
  },
};

function readOptions(args: Arguments): SpacingOptions {
  const positive = (name: string): number[] => {
    const value = args.raw(name);
    if (value === undefined || value === null) return [];
    const list: readonly ConfigValue[] = isList(value) ? value : [value];
    if (list.length > 0 && list.every((item): item is number => typeof item === 'number' && Number.isFinite(item)))
      return [...list];
    throw args.refuse(`'${name}' must be a number or a list of numbers`);
  };
  const pixdim = positive('pixdim');
  if (pixdim.length === 0) throw args.refuse("'pixdim' is missing");
  args.only('recompute_affine', false);
  args.only('lazy', false, null);
  args.dtype('dtype', ['float64', 'float32']);
  args.accept('allow_missing_keys');
  return {
    pixdim,
    minPixdim: positive('min_pixdim'),
    maxPixdim: positive('max_pixdim'),
    diagonal: args.boolean('diagonal', false),
  };
}

function readModes(args: Arguments, count: number): SampleModes[] {
  const oneOf =
    <T extends string>(options: readonly T[]) =>
    (value: ConfigValue): T | undefined =>
      options.find((option) => option === value);
  const interpolations = ['bilinear', 'nearest'] as const;
  const edges = ['border', 'zeros', 'reflection'] as const;
  const modes = args.perKey<Interpolation>(
    'mode',
    count,
    'bilinear',
    oneOf(interpolations),
    interpolations.join(' or '),
  );
  const padding = args.perKey<EdgeMode>('padding_mode', count, 'border', oneOf(edges), edges.join(' or '));
  const corners = args.perKeyBoolean('align_corners', count, false);
  return modes.map((interpolation, n) => ({
    interpolation,
    edge: padding[n] as EdgeMode,
    alignCorners: corners[n] as boolean,
  }));
}

function targetGrid(
  image: MetaImage,
  options: SpacingOptions,
  scaleExtent: boolean,
): { affineRas: Affine; shape: [number, number, number] } {
  try {
    const scale = targetSpacing(image, options);
    const axes = zoomAffine(image.affineRas, scale, options.diagonal);
    const { shape, offset } = shapeAndOffset(image.voxels.shape, image.affineRas, axes, scaleExtent);
    if (shape.some((size) => size < 1) || shape[0] * shape[1] * shape[2] * image.voxels.channels > maxVoxels)
      throw new RangeError(`The resampled grid would be ${shape.join(' × ')} voxels.`);
    const affineRas = axes.with(3, offset[0]).with(7, offset[1]).with(11, offset[2]) as unknown as Affine;
    return { affineRas, shape };
  } catch (cause) {
    const reason = cause instanceof RangeError ? cause.message : 'Its geometry cannot be used.';
    throw new EndpointError(
      'unprocessable_image',
      `The image cannot be resampled to the bundle's voxel size: ${reason}`,
      {
        cause,
      },
    );
  }
}

/** `pixdim` for each axis: the image's own where it is not positive, or lies between the minimum and maximum given. */
function targetSpacing(image: MetaImage, { pixdim, minPixdim, maxPixdim }: SpacingOptions): [number, number, number] {
  const own = spacingOf(image.affineRas);
  return own.map((spacing, axis) => {
    const target = (pixdim[axis] ?? pixdim.at(-1)) as number;
    const min = Math.min(minPixdim[axis] ?? target, target);
    const max = Math.max(maxPixdim[axis] ?? target, target);
    const chosen = min - tolerance <= spacing && spacing <= max + tolerance ? spacing : target;
    return chosen > 0 ? chosen : spacing;
  }) as [number, number, number];
}

/** Column norms as MONAI takes them: the root of the sum of squares, 1 for an empty axis. */
function spacingOf(m: Affine): [number, number, number] {
  const norm = (a: number, b: number, c: number): number => Math.sqrt(a * a + b * b + c * c) || 1;
  return [norm(m[0], m[4], m[8]), norm(m[1], m[5], m[9]), norm(m[2], m[6], m[10])];
}

function sameGeometry(a: MetaImage, b: MetaImage): boolean {
  const [spacingA, spacingB] = [spacingMm(a.affineRas), spacingMm(b.affineRas)];
  return (
    a.voxels.shape.every((size, axis) => size === b.voxels.shape[axis]) &&
    spacingA.every(
      (value, axis) => Math.abs(value - (spacingB[axis] as number)) <= 1e-3 + 1e-5 * (spacingB[axis] as number),
    )
  );
}
