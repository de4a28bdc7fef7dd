import { castTo, castTypes } from '../image-data.ts';
import { eachImage } from './each-image.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `CastToTyped`: values as another element type holds them. */
export const castToTyped: TransformDefinition = {
  target: 'CastToTyped',
  compile(args) {
    const keys = args.keys();
    const types = args.perKeyDtype('dtype', keys.length, castTypes, 'float32');
    args.accept('allow_missing_keys');
    args.finish();
    return eachImage(args, keys, (image, n, context) => castTo(image, types[n] ?? 'float32', context), {
      ignoresChannel: true,
    });
  },
};
