import type { TransformDefinition } from './transform.ts';

/** MONAI `SqueezeDimd`, for the axis of one patch that another transform has put before the channels. */
export const squeezeDimd: TransformDefinition = {
  target: 'SqueezeDimd',
  compile(args) {
    const keys = args.keys();
    if (args.number('dim', 0) !== 0) throw args.refuse("'dim' must be 0: only an axis of patches can be squeezed");
    args.accept('update_meta', 'allow_missing_keys');
    args.finish();
    return { component: args.component, keys, dropsPatches: keys, apply: async () => {} };
  },
};
