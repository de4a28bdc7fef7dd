import { statistics } from '../../compute/kernels/statistics.ts';
import type { IntensityMap } from '../../compute/kernels/voxelwise.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { channelsOf, eachImage } from './each-image.ts';
import { rescaled } from './scale-intensity-range.ts';
import type { TransformDefinition } from './transform.ts';

/** Where the smallest and largest value go; with neither, `factor` multiplies by 1 + factor. */
interface Scaling {
  readonly min: number | null;
  readonly max: number | null;
  readonly factor: number | null;
}

/** MONAI `ScaleIntensityd`: the image's own range, or each channel's, to `minv…maxv`. */
export const scaleIntensityd: TransformDefinition = {
  target: 'ScaleIntensityd',
  compile(args) {
    const keys = args.keys();
    const scaling: Scaling = {
      min: args.optionalNumber('minv', 0),
      max: args.optionalNumber('maxv', 1),
      factor: args.optionalNumber('factor'),
    };
    const channelWise = args.boolean('channel_wise', false);
    args.dtype('dtype', ['float32']);
    args.accept('allow_missing_keys');
    args.finish();
    const change = async (image: MetaImage, _n: number, context: RunContext): Promise<MetaImage> => {
      const channels = channelsOf(image);
      if (scaling.min === null && scaling.max === null) {
        if (scaling.factor === null) return image;
        const map = { subtract: 0, divide: 1, scale: { multiply: 1 + scaling.factor, add: 0 } };
        return rescaled(
          image,
          channels.map(() => map),
          context,
        );
      }
      const mapOf = async (some: readonly number[]): Promise<IntensityMap> => {
        const { min, max } = await statistics(image.voxels, { channels: some }, context.pool, context.signal);
        return rangeMap(min, max, scaling);
      };
      const shared = channelWise ? undefined : await mapOf(channels);
      const maps = shared ? channels.map(() => shared) : await Promise.all(channels.map((channel) => mapOf([channel])));
      return rescaled(image, maps, context);
    };
    return eachImage(args, keys, change, { ignoresChannel: !channelWise });
  },
};

/** MONAI `rescale_array`: with one of the two ends, the range becomes 0…1. */
function rangeMap(min: number, max: number, scaling: Scaling): IntensityMap {
  if (min === max) return { subtract: 0, divide: 1, scale: { multiply: scaling.min ?? 1, add: 0 } };
  const scale =
    scaling.min === null || scaling.max === null
      ? undefined
      : { multiply: scaling.max - scaling.min, add: scaling.min };
  return { subtract: min, divide: Math.fround(max - min), scale };
}
