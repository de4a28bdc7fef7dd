import { imageOf, writableFloats } from '../image-data.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `EnsureTyped`: float32 stays float32; devices and containers mean nothing here. */
export const ensureTyped: TransformDefinition = {
  target: 'EnsureTyped',
  compile(args) {
    const keys = args.keys();
    const dtype = args.dtype('dtype', ['float32']);
    args.choice('data_type', ['tensor', 'numpy'], 'tensor');
    args.only('track_meta', null, true);
    args.accept('device', 'wrap_sequence', 'allow_missing_keys');
    args.finish();
    return {
      component: args.component,
      keys,
      ignoresChannel: true,
      async apply(data, context) {
        for (const key of dtype ? keys : []) {
          const image = imageOf(data, key);
          if (image.voxels.data instanceof Float32Array) continue;
          data.set(key, { ...image, voxels: await writableFloats(image, context), owned: true });
        }
      },
    };
  },
};
