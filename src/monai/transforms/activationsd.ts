import { sigmoidInPlace, softmaxInPlace } from '../../compute/kernels/voxelwise.ts';
import { imageOf, writableFloats } from '../image-data.ts';
import { argmaxOnly, argmaxTransform } from './argmax.ts';
import { markLabelStep } from './label-steps.ts';
import type { Transform, TransformDefinition } from './transform.ts';

/** MONAI `Activationsd`: softmax over the channels, or the logistic function of each. */
export const activationsd: TransformDefinition = {
  target: 'Activationsd',
  compile(args) {
    const keys = args.keys();
    const sigmoid = args.perKeyBoolean('sigmoid', keys.length, false);
    const softmax = args.perKeyBoolean('softmax', keys.length, false);
    args.only('other', null);
    args.only('dim', 0);
    args.accept('allow_missing_keys');
    args.finish();
    if (keys.some((_, n) => sigmoid[n] && softmax[n])) throw args.refuse("'sigmoid' and 'softmax' exclude each other");
    const transform: Transform = {
      component: args.component,
      keys,
      ...(keys.every((_, n) => sigmoid[n] || softmax[n]) ? { means: 'probability' as const } : {}),
      async apply(data, context) {
        for (const [n, key] of keys.entries()) {
          if (!sigmoid[n] && !softmax[n]) continue;
          const image = imageOf(data, key);
          const voxels = await writableFloats(image, context);
          await (softmax[n] ? softmaxInPlace : sigmoidInPlace)(voxels, context.pool, context.signal);
          data.set(key, { ...image, voxels, owned: true, fromArgmax: false });
        }
      },
      // The largest probability is the largest logit's: the softmax itself need not be computed.
      fuse: (next) =>
        keys.length === 1 && softmax[0] && argmaxOnly(next) === keys[0]
          ? argmaxTransform(next.component, keys[0] as string, true)
          : undefined,
    };
    return keys.length === 1 && softmax[0]
      ? markLabelStep(transform, { kind: 'softmax', key: keys[0] as string })
      : transform;
  },
};
