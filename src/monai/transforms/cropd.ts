import type { Arguments } from '../arguments.ts';
import type { MetaImage } from '../meta-image.ts';
import { eachImage } from './each-image.ts';
import { paddedTo } from './padd.ts';
import { type PadFill, readPadFills, zeroFill } from './padding.ts';
import { forAxes, type PerAxis, readPerAxis, sizesFor, spatialDimsOf, type Triple } from './per-axis.ts';
import { type Box, regridded } from './regrid.ts';
import type { Transform, TransformDefinition } from './transform.ts';

/** MONAI `CenterSpatialCropd`: at most `roi_size` voxels around the centre. */
export const centerSpatialCropd: TransformDefinition = {
  target: 'CenterSpatialCropd',
  compile(args) {
    const keys = args.keys();
    const size = readPerAxis(args, 'roi_size', true);
    return cropTransform(args, keys, (image) => centredBox(image, sizesFor(size, image)));
  },
};

/** MONAI `CenterScaleCropd`: a part `roi_scale` of each axis around the centre. */
export const centerScaleCropd: TransformDefinition = {
  target: 'CenterScaleCropd',
  compile(args) {
    const keys = args.keys();
    const scale = readPerAxis(args, 'roi_scale', false);
    return cropTransform(args, keys, (image) => {
      const scales = forAxes(scale, image, 1);
      const sizes = image.voxels.shape.map((n, axis) => Math.ceil((scales[axis] as number) * n));
      return centredBox(image, sizes.map((n, axis) => (n > 0 ? n : image.voxels.shape[axis])) as unknown as Triple);
    });
  },
};

/** MONAI `SpatialCropd`: a box by its centre and size, or by its start and end. */
export const spatialCropd: TransformDefinition = {
  target: 'SpatialCropd',
  compile(args) {
    const keys = args.keys();
    args.only('roi_slices', null);
    const given = (name: string): PerAxis | undefined => {
      const isGiven = args.component.argument(name) ?? null;
      if (isGiven === null) args.accept(name);
      return isGiven === null ? undefined : readPerAxis(args, name, true);
    };
    const [center, size, start, end] = [given('roi_center'), given('roi_size'), given('roi_start'), given('roi_end')];
    let edges: (axis: number) => [number, number];
    if (center !== undefined && size !== undefined)
      edges = (axis) => {
        const from = Math.max((numberAt(center, axis) ?? 0) - Math.floor((numberAt(size, axis) ?? 0) / 2), 0);
        return [from, from + (numberAt(size, axis) ?? 0)];
      };
    else if (start !== undefined && end !== undefined)
      edges = (axis) => [Math.max(numberAt(start, axis) ?? 0, 0), numberAt(end, axis) ?? 0];
    else throw args.refuse("'roi_center' and 'roi_size', or 'roi_start' and 'roi_end' must be given");
    const counts = [center, size, start, end].flatMap((value) => (typeof value === 'object' ? [value.length] : []));
    const count = counts.length === 0 ? 3 : Math.max(...counts);
    return cropTransform(args, keys, (image) => {
      const dims = Math.min(counts.length === 0 ? 1 : count, spatialDimsOf(image));
      return slicedBox(image, (axis) => (axis < dims ? edges(axis) : undefined));
    });
  },
};

/** MONAI `ResizeWithPadOrCropd`: cropped and padded around the centre to exactly `spatial_size`. */
export const resizeWithPadOrCropd: TransformDefinition = {
  target: 'ResizeWithPadOrCropd',
  compile(args) {
    const keys = args.keys();
    const size = readPerAxis(args, 'spatial_size', true);
    const method = args.choice('method', ['symmetric', 'end'], 'symmetric');
    const fills = readPadFills(args, keys.length);
    args.only('lazy', false, null);
    args.accept('allow_missing_keys');
    args.finish();
    return eachImage(args, keys, async (image, n, context) => {
      const sizes = sizesFor(size, image);
      // Cropped first: the padding of an axis must not see what another axis loses.
      const middle = await regridded(image, centredBox(image, sizes), zeroFill, args.component, context);
      return regridded(middle, paddedTo(middle, sizes, method), fills[n] as PadFill, args.component, context);
    });
  },
};

function cropTransform(args: Arguments, keys: readonly string[], boxOf: (image: MetaImage) => Box): Transform {
  args.only('lazy', false, null);
  args.accept('allow_missing_keys');
  args.finish();
  return eachImage(args, keys, (image, _n, context) =>
    regridded(image, boxOf(image), zeroFill, args.component, context),
  );
}

function centredBox(image: MetaImage, sizes: Triple): Box {
  return slicedBox(image, (axis) => {
    const from = Math.max(
      Math.floor((image.voxels.shape[axis] as number) / 2) - Math.floor((sizes[axis] as number) / 2),
      0,
    );
    return [from, from + (sizes[axis] as number)];
  });
}

/** The box between two edges an axis, cut at the image's own. */
function slicedBox(image: MetaImage, edges: (axis: number) => readonly [number, number] | undefined): Box {
  const { shape } = image.voxels;
  const cuts = shape.map((size, axis) => {
    const [from, to] = edges(axis) ?? [0, size];
    return [Math.min(from, size), Math.min(to, size)] as const;
  });
  return {
    start: cuts.map(([from]) => from) as unknown as Triple,
    shape: cuts.map(([from, to]) => Math.max(0, to - from)) as unknown as Triple,
  };
}

const numberAt = (value: PerAxis, axis: number): number | undefined =>
  typeof value === 'number' ? value : value.length === 1 ? value[0] : value[axis];
