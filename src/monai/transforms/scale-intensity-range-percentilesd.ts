import { percentiles } from '../../compute/kernels/order-statistics.ts';
import { imageOf } from '../image-data.ts';
import { rangeMap, readOutputRange, rescaled } from './scale-intensity-range.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `ScaleIntensityRangePercentilesd`: the window between two percentiles of the image to `b_min…b_max`. */
export const scaleIntensityRangePercentilesd: TransformDefinition = {
  target: 'ScaleIntensityRangePercentilesd',
  compile(args) {
    const keys = args.keys();
    const lower = args.number('lower');
    const upper = args.number('upper');
    if ([lower, upper].some((percent) => percent < 0 || percent > 100))
      throw args.refuse("'lower' and 'upper' must be between 0 and 100");
    const { min, max, clip } = readOutputRange(args);
    const relative = args.boolean('relative', false);
    const channelWise = args.boolean('channel_wise', false);
    args.accept('allow_missing_keys');
    args.finish();
    if (relative && (min === null || max === null)) throw args.refuse("'relative' needs 'b_min' and 'b_max'");
    const at = (percent: number): number => ((max as number) - (min as number)) * (percent / 100) + (min as number);
    const range = relative ? { min: at(lower), max: at(upper), clip } : { min, max, clip };
    return {
      component: args.component,
      keys,
      async apply(data, context) {
        for (const key of keys) {
          const image = imageOf(data, key);
          const all = Array.from({ length: image.voxels.channels }, (_, channel) => channel);
          const mapOf = async (channels: readonly number[]) => {
            const found = await percentiles(image.voxels, channels, [lower, upper], context.pool, context.signal);
            const [aMin, aMax] = found as [number, number];
            return rangeMap(aMin, aMax, Math.fround(aMax - aMin), range);
          };
          const shared = channelWise ? undefined : await mapOf(all);
          const maps = shared ? all.map(() => shared) : await Promise.all(all.map((channel) => mapOf([channel])));
          data.set(key, await rescaled(image, maps, context));
        }
      },
    };
  },
};
