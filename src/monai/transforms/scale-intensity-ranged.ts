import { imageOf } from '../image-data.ts';
import { rangeMap, readOutputRange, rescaled } from './scale-intensity-range.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `ScaleIntensityRanged`: the window `a_min…a_max` to `b_min…b_max`. */
export const scaleIntensityRanged: TransformDefinition = {
  target: 'ScaleIntensityRanged',
  compile(args) {
    const keys = args.keys();
    const aMin = args.number('a_min');
    const aMax = args.number('a_max');
    const range = readOutputRange(args);
    args.accept('allow_missing_keys');
    args.finish();
    const map = rangeMap(aMin, aMax, aMax - aMin, range);
    return {
      component: args.component,
      keys,
      ignoresChannel: true,
      async apply(data, context) {
        for (const key of keys) {
          const image = imageOf(data, key);
          const maps = Array.from({ length: image.voxels.channels }, () => map);
          data.set(key, await rescaled(image, maps, context));
        }
      },
    };
  },
};
