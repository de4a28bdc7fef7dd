import { EndpointError } from '../../errors.ts';
import type { Component } from '../bundle/config-value.ts';
import { imageOf } from '../image-data.ts';
import type { AppliedOperation, MetaImage, RunContext } from '../meta-image.ts';
import { argmaxOf, argmaxOnly } from './argmax.ts';
import { markLabelStep } from './label-steps.ts';
import type { Transform, TransformDefinition } from './transform.ts';

/** MONAI `Invertd`: undoes the spatial transforms of the preprocessing on other images, usually the prediction. */
export const invertd: TransformDefinition = {
  target: 'Invertd',
  needsKeys: true,
  compile(args, scope) {
    const keys = args.keys();
    if (args.componentArgument('transform') !== scope.preprocessingRoot)
      throw args.refuse("'transform' must be the bundle's preprocessing (@preprocessing)");
    const origin = args.raw('orig_keys');
    const originals =
      typeof origin === 'string'
        ? keys.map(() => origin)
        : origin === undefined || origin === null
          ? keys
          : args.keys('orig_keys');
    if (originals.length !== keys.length) throw args.refuse("'orig_keys' must be one key, or one for each of 'keys'");
    const nearest = args.perKeyBoolean('nearest_interp', keys.length, true);
    args.only('post_func', null);
    args.accept('meta_keys', 'orig_meta_keys', 'meta_key_postfix', 'to_tensor', 'device', 'allow_missing_keys');
    args.finish();
    const invertible = new Set(scope.preprocessing.map((transform) => transform.component));
    const transform: Transform = {
      component: args.component,
      keys: [...keys, ...originals],
      async apply(data, context) {
        for (const [n, key] of keys.entries()) {
          const original = imageOf(data, originals[n] as string);
          let image = onGridOf(original, imageOf(data, key));
          for (const operation of operationsOf(original, invertible))
            image = await operation.invert(image, { nearest: nearest[n] as boolean }, context);
          data.set(key, image);
        }
      },
      fuse(next) {
        const [key] = keys;
        if (keys.length !== 1 || nearest[0] || key === undefined || argmaxOnly(next) !== key) return undefined;
        return {
          component: next.component,
          keys: transform.keys,
          async apply(data, context) {
            const original = imageOf(data, originals[0] as string);
            const operations = operationsOf(original, invertible);
            data.set(key, await inverseArgmax(onGridOf(original, imageOf(data, key)), operations, context));
          },
        };
      },
    };
    const [key, original] = [keys[0] as string, originals[0] as string];
    return keys.length === 1 && !nearest[0]
      ? markLabelStep(transform, {
          kind: 'inverse',
          key,
          original,
          operations: (image) => operationsOf(image, invertible),
        })
      : transform;
  },
};

/** What was done to an image by the preprocessing, last first. */
const operationsOf = (image: MetaImage, invertible: ReadonlySet<Component>): AppliedOperation[] =>
  image.applied.filter(({ by }) => invertible.has(by)).toReversed();

/** The prediction with the geometry that the preprocessed image has: they are on one grid. */
function onGridOf(original: MetaImage, image: MetaImage): MetaImage {
  const [a, b] = [original.voxels.shape, image.voxels.shape];
  if (a.some((size, axis) => size !== b[axis]))
    throw new EndpointError(
      'model_failed',
      `The result has ${b.join(' × ')} voxels, the preprocessed image ${a.join(' × ')}.`,
    );
  return { ...image, affineRas: original.affineRas };
}

/** Inverse and then argmax; in one pass when the only operation that moves voxels can do both. */
async function inverseArgmax(
  image: MetaImage,
  operations: readonly AppliedOperation[],
  context: RunContext,
): Promise<MetaImage> {
  const moving = operations.filter((operation) => operation.movesVoxels);
  const last = moving.at(-1);
  let result = image;
  for (const operation of operations) {
    result =
      operation === last && operation.invertToArgmax
        ? await operation.invertToArgmax(result, context)
        : await operation.invert(result, { nearest: false }, context);
  }
  return result.fromArgmax ? result : argmaxOf(result, false, context);
}
