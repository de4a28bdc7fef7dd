import { castTo, castTypes } from '../image-data.ts';
import { eachImage } from './each-image.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `EnsureTyped`: the element type where one is given; devices and containers mean nothing here. */
export const ensureTyped: TransformDefinition = {
  target: 'EnsureTyped',
  compile(args) {
    const keys = args.keys();
    const dtype = args.dtype('dtype', castTypes);
    args.choice('data_type', ['tensor', 'numpy'], 'tensor');
    args.only('track_meta', null, true);
    args.accept('device', 'wrap_sequence', 'allow_missing_keys');
    args.finish();
    return eachImage(args, keys, (image, _n, context) => (dtype ? castTo(image, dtype, context) : image), {
      ignoresChannel: true,
    });
  },
};
