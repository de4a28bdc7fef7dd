import { EndpointError } from '../../errors.ts';
import type { Arguments } from '../arguments.ts';
import type { MetaImage } from '../meta-image.ts';
import { eachImage } from './each-image.ts';
import { type PadFill, readPadFills } from './padding.ts';
import { forAxes, type PerAxis, readPerAxis, sizesFor, spatialDimsOf, type Triple } from './per-axis.ts';
import { type Box, regridded } from './regrid.ts';
import type { Transform, TransformDefinition } from './transform.ts';

/** MONAI `SpatialPadd`: padded to at least `spatial_size`. */
export const spatialPadd: TransformDefinition = {
  target: 'SpatialPadd',
  compile(args) {
    const keys = args.keys();
    const size = readPerAxis(args, 'spatial_size', true);
    const method = args.choice('method', ['symmetric', 'end'], 'symmetric');
    return padTransform(args, keys, (image) => paddedTo(image, sizesFor(size, image), method));
  },
};

/** MONAI `DivisiblePadd`: padded until the sizes are multiples of `k`. */
export const divisiblePadd: TransformDefinition = {
  target: 'DivisiblePadd',
  compile(args) {
    const keys = args.keys();
    const k = readPerAxis(args, 'k', true);
    const method = args.choice('method', ['symmetric', 'end'], 'symmetric');
    return padTransform(args, keys, (image) => paddedTo(image, divisibleSize(image.voxels.shape, k, image), method));
  },
};

/** MONAI `BorderPadd`: `spatial_border` voxels around the image; one number, one an axis, or two an axis. */
export const borderPadd: TransformDefinition = {
  target: 'BorderPadd',
  compile(args) {
    const keys = args.keys();
    const border = readPerAxis(args, 'spatial_border', true);
    return padTransform(args, keys, (image) => {
      const [before, after] = borders(border, image);
      const shape = image.voxels.shape.map((n, axis) => n + (before[axis] as number) + (after[axis] as number));
      return boxAt(before, shape);
    });
  },
};

/** MONAI `Padd`'s family: what they have in common. */
function padTransform(args: Arguments, keys: readonly string[], boxOf: (image: MetaImage) => Box): Transform {
  const fills = readPadFills(args, keys.length);
  args.only('lazy', false, null);
  args.accept('allow_missing_keys');
  args.finish();
  return eachImage(args, keys, (image, n, context) =>
    regridded(image, boxOf(image), fills[n] as PadFill, args.component, context),
  );
}

/** The box that is at least `size`, the image in its middle or at its start. */
export function paddedTo(image: MetaImage, size: Triple, method: 'symmetric' | 'end'): Box {
  const widths = image.voxels.shape.map((n, axis) => Math.max((size[axis] as number) - n, 0));
  const before = widths.map((width) => (method === 'symmetric' ? Math.floor(width / 2) : 0));
  return boxAt(
    before,
    image.voxels.shape.map((n, axis) => n + (widths[axis] as number)),
  );
}

/** The next multiples of `k`; a `k` that is not positive leaves its axis (MONAI `compute_divisible_spatial_size`). */
export function divisibleSize(shape: readonly number[], k: PerAxis, image: MetaImage): Triple {
  const steps = forAxes(k, image, 1);
  return shape.map((n, axis) => {
    const step = steps[axis] as number;
    return step > 0 ? Math.ceil(n / step) * step : n;
  }) as unknown as Triple;
}

function borders(border: PerAxis, image: MetaImage): [number[], number[]] {
  const count = spatialDimsOf(image);
  const list = (typeof border === 'number' ? [border] : border).map((n) => Math.max(0, n));
  if (![1, count, 2 * count].includes(list.length))
    throw new EndpointError('unprocessable_image', `The bundle's border does not fit an image of ${count} axes.`);
  const at = (axis: number, side: 0 | 1): number => {
    if (axis >= count) return 0;
    return list[list.length === 1 ? 0 : list.length === count ? axis : 2 * axis + side] as number;
  };
  return [[0, 1, 2].map((axis) => at(axis, 0)), [0, 1, 2].map((axis) => at(axis, 1))];
}

const boxAt = (before: readonly number[], shape: readonly number[]): Box => ({
  start: before.map((n) => 0 - n) as unknown as Triple,
  shape: shape as unknown as Triple,
});
