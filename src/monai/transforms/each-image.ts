import type { Arguments } from '../arguments.ts';
import { imageOf } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import type { Transform } from './transform.ts';

/** A transform that changes the image of each key by itself. */
export function eachImage(
  args: Arguments,
  keys: readonly string[],
  change: (image: MetaImage, n: number, context: RunContext) => Promise<MetaImage> | MetaImage,
  more: Partial<Transform> = {},
): Transform {
  return {
    component: args.component,
    keys,
    ...more,
    async apply(data, context) {
      for (const [n, key] of keys.entries()) data.set(key, await change(imageOf(data, key), n, context));
    },
  };
}

/** Numbers of all channels of an image. */
export const channelsOf = ({ voxels }: MetaImage): number[] =>
  Array.from({ length: voxels.channels }, (_, channel) => channel);
