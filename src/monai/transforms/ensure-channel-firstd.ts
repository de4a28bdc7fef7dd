import { imageOf } from '../image-data.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `EnsureChannelFirstd` for volumes, which have no channel axis of their own: they get one. */
export const ensureChannelFirstd: TransformDefinition = {
  target: 'EnsureChannelFirstd',
  compile(args) {
    const keys = args.keys();
    const dimension = args.raw('channel_dim');
    if (dimension !== undefined && dimension !== null && dimension !== 'no_channel')
      throw args.refuse("a channel axis in the input is not supported yet: 'channel_dim' must be None or 'no_channel'");
    args.accept('strict_check', 'allow_missing_keys');
    args.finish();
    return {
      component: args.component,
      keys,
      ignoresChannel: true,
      addsChannel: keys,
      apply: async (data) => void keys.map((key) => imageOf(data, key)),
    };
  },
};
