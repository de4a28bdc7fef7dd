import { type IntensityMap, rescaleChannel } from '../../compute/kernels/voxelwise.ts';
import type { Arguments } from '../arguments.ts';
import { floatTarget } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';

/** Where the window goes, and whether values beyond it are cut. None leaves that end as it is. */
export interface OutputRange {
  readonly min: number | null;
  readonly max: number | null;
  readonly clip: boolean;
}

export function readOutputRange(args: Arguments): OutputRange {
  const range = {
    min: args.optionalNumber('b_min'),
    max: args.optionalNumber('b_max'),
    clip: args.boolean('clip', false),
  };
  if (range.clip && range.min === null && range.max === null) throw args.refuse("'clip' needs 'b_min' or 'b_max'");
  args.dtype('dtype', ['float32']);
  return range;
}

/** The map of MONAI `ScaleIntensityRange`; an empty input window only shifts, without clipping, as there. */
export function rangeMap(aMin: number, aMax: number, width: number, { min, max, clip }: OutputRange): IntensityMap {
  if (aMax - aMin === 0) return { subtract: aMin, divide: 1, scale: { multiply: 1, add: min ?? 0 } };
  return {
    subtract: aMin,
    divide: width,
    scale: min !== null && max !== null ? { multiply: max - min, add: min } : undefined,
    clip: clip ? { min: min ?? Number.NEGATIVE_INFINITY, max: max ?? Number.POSITIVE_INFINITY } : undefined,
  };
}

/** Maps each channel's intensities, in place where the memory is the image's own. */
export async function rescaled(
  image: MetaImage,
  maps: readonly IntensityMap[],
  context: RunContext,
): Promise<MetaImage> {
  const target = floatTarget(image);
  for (const [channel, map] of maps.entries()) {
    await rescaleChannel(image.voxels, target, channel, map, context.pool, context.signal);
  }
  return { ...image, voxels: target, owned: true, fromArgmax: false };
}
