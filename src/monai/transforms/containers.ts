import { castTo, castTypes } from '../image-data.ts';
import { eachImage } from './each-image.ts';
import type { TransformDefinition } from './transform.ts';

/** A transform that concerns Python's containers and devices: here at most the element type changes. */
function container(target: string, ...accepted: readonly string[]): TransformDefinition {
  return {
    target,
    compile(args) {
      const keys = args.keys();
      const dtype = args.dtype('dtype', castTypes);
      args.accept('allow_missing_keys', ...accepted);
      args.finish();
      return eachImage(args, keys, (image, _n, context) => (dtype ? castTo(image, dtype, context) : image), {
        ignoresChannel: true,
      });
    },
  };
}

/** `EnsureTyped`, `ToTensord` and their kind, with MONAI's arguments. */
export const containerTransforms: readonly TransformDefinition[] = [
  container('ToTensord', 'device', 'wrap_sequence', 'track_meta'),
  container('ToNumpyd', 'wrap_sequence'),
  container('ToDeviced', 'device', 'non_blocking'),
  container('ToCupyd', 'wrap_sequence'),
  container('FromMetaTensord', 'data_type'),
  container('ToMetaTensord'),
  container('Identityd'),
];
