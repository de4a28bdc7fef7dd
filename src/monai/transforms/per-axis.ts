import { EndpointError } from '../../errors.ts';
import type { Arguments } from '../arguments.ts';
import { type ConfigValue, isList } from '../bundle/config-value.ts';
import type { MetaImage } from '../meta-image.ts';

export type Triple = readonly [number, number, number];

/** One number for all spatial axes, or one for each. */
export type PerAxis = number | readonly number[];

/** Reads an argument with one number for all axes or one for each (`whole`: only whole numbers). */
export function readPerAxis(args: Arguments, name: string, whole: boolean, fallback?: PerAxis): PerAxis {
  const value = args.raw(name);
  if (value === undefined && fallback !== undefined) return fallback;
  const isNumber = (item: ConfigValue | undefined): item is number =>
    typeof item === 'number' && Number.isFinite(item) && (!whole || Number.isInteger(item));
  if (isNumber(value)) return value;
  if (isList(value) && value.length >= 1 && value.length <= 6 && value.every(isNumber)) return value;
  throw args.refuse(`'${name}' must be a ${whole ? 'whole ' : ''}number or a list with one for each axis`);
}

/** Number of spatial axes that the bundle sees: an image of one plane counts as flat unless it is said to be a volume. */
export const spatialDimsOf = (image: MetaImage): 2 | 3 => image.spatialDims ?? (image.voxels.shape[2] === 1 ? 2 : 3);

/**
 * The numbers of the three axes; a plane's third gets `neutral`.
 *
 * @throws EndpointError `unprocessable_image` when the bundle gives numbers for another number of axes than the image has
 */
export function forAxes(value: PerAxis, image: MetaImage, neutral: number): Triple {
  const count = spatialDimsOf(image);
  const list = typeof value === 'number' ? [value, value, value].slice(0, count) : value;
  if (list.length === 3 && image.spatialDims !== 2) return list as unknown as Triple;
  if (list.length === 2 && count === 2) return [...list, neutral] as unknown as Triple;
  throw new EndpointError(
    'unprocessable_image',
    `The bundle has settings for images of ${list.length} axes; this one has ${count}.`,
  );
}

/** Sizes that are not positive take the image's own (MONAI `fall_back_tuple`). */
export function sizesFor(value: PerAxis, image: MetaImage): Triple {
  return forAxes(value, image, -1).map((size, axis) =>
    size > 0 ? size : (image.voxels.shape[axis] as number),
  ) as unknown as Triple;
}
