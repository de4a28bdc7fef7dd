import type { Arguments } from '../arguments.ts';
import { type ConfigValue, isList } from '../bundle/config-value.ts';
import type { PaddingMode } from './padded-image.ts';

/** A number for every axis, or one for each. */
export type PerAxis = number | readonly number[];

export interface SlidingWindowOptions {
  /** A size that is not positive takes the image's. */
  readonly roiSize: PerAxis;
  readonly overlap: PerAxis;
  /** Width of the Gaussian as a fraction of the window; none: every voxel of a window weighs the same. */
  readonly sigmaScale: PerAxis | undefined;
  readonly paddingMode: PaddingMode;
  readonly fill: number;
  /** Windows a run that the bundle's author found to fit. */
  readonly windowBatch: number;
}

/** Most windows that one run of the network is given. */
const maxWindowBatch = 64;

/** Arguments of MONAI's `SlidingWindowInferer`, by its names and defaults. */
export function readSlidingWindowOptions(args: Arguments): SlidingWindowOptions {
  const roiSize = readRoiSize(args);
  const overlap = perAxis(args, 'overlap', 0.25, (value) => value >= 0 && value < 1, 'at least 0 and below 1');
  const sigmaScale = perAxis(args, 'sigma_scale', 0.125, (value) => value > 0, 'positive');
  const mode = args.choice('mode', ['constant', 'gaussian'], 'constant');
  const paddingModes = ['constant', 'reflect', 'replicate', 'circular'] as const;
  args.only('with_coord', false);
  args.accept('sw_device', 'device', 'progress', 'cache_roi_weight_map', 'cpu_thresh', 'buffer_steps', 'buffer_dim');
  const windowBatch = args.number('sw_batch_size', 1);
  if (!Number.isInteger(windowBatch) || windowBatch < 1)
    throw args.refuse("'sw_batch_size' must be a positive whole number");
  return {
    roiSize,
    overlap,
    sigmaScale: mode === 'gaussian' ? sigmaScale : undefined,
    paddingMode: args.choice('padding_mode', paddingModes, 'constant'),
    fill: args.number('cval', 0),
    windowBatch: Math.min(windowBatch, maxWindowBatch),
  };
}

/** A size for all axes or one for each; None takes the image's. */
function readRoiSize(args: Arguments): PerAxis {
  const value = args.raw('roi_size');
  const read = (size: ConfigValue | undefined): number => {
    if (size === null) return -1;
    if (typeof size === 'number' && Number.isInteger(size) && size <= 4096) return size;
    throw args.refuse("'roi_size' must be a whole number or one for each of two or three axes");
  };
  if (!isList(value)) return read(value);
  if (value.length !== 2 && value.length !== 3)
    throw args.refuse("'roi_size' must be a whole number or one for each of two or three axes");
  return value.map(read);
}

function perAxis(
  args: Arguments,
  name: string,
  fallback: number,
  isValid: (value: number) => boolean,
  what: string,
): PerAxis {
  const given = args.raw(name) ?? fallback;
  const list: readonly ConfigValue[] = isList(given) ? given : [given];
  const isWell = list.every((value): value is number => typeof value === 'number' && isValid(value));
  if (!isWell || (isList(given) && list.length !== 2 && list.length !== 3))
    throw args.refuse(`'${name}' must be ${what}: a number or one for each axis`);
  return isList(given) ? (list as readonly number[]) : (list[0] as number);
}

/**
 * The value of each of the three axes.
 *
 * @param axes - the axes that the values are for
 * @param rest - value of the others
 */
export function onAxes(values: PerAxis, axes: readonly number[], rest: number): [number, number, number] {
  const result: [number, number, number] = [rest, rest, rest];
  axes.forEach((axis, n) => {
    result[axis as 0] = typeof values === 'number' ? values : (values[n] as number);
  });
  return result;
}
