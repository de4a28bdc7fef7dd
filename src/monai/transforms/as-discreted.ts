import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { oneHotInto, roundInPlace, thresholdInto } from '../../compute/kernels/voxelwise.ts';
import { memoryOrderOf } from '../../imaging/strided-image.ts';
import type { ConfigValue } from '../bundle/config-value.ts';
import { imageOf, writableFloats } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { argmaxOf, argmaxTransform } from './argmax.ts';
import type { TransformDefinition } from './transform.ts';

/** What is done to one key, in MONAI's order: argmax, one-hot, threshold, rounding. */
interface Discretisation {
  readonly argmax: boolean;
  readonly classes: number | null;
  readonly threshold: number | null;
  readonly rounding: 'torchrounding' | null;
}

/** MONAI `AsDiscreted`. */
export const asDiscreted: TransformDefinition = {
  target: 'AsDiscreted',
  compile(args) {
    const keys = args.keys();
    const n = keys.length;
    const argmax = args.perKeyBoolean('argmax', n, false);
    const classes = args.perKey<number | null>('to_onehot', n, null, wholeOrNone, 'a number of classes or None');
    const threshold = args.perKey<number | null>('threshold', n, null, numberOrNone, 'a number or None');
    const rounding = args.perKey<'torchrounding' | null>(
      'rounding',
      n,
      null,
      (value) => (value === null || value === 'torchrounding' ? value : undefined),
      'torchrounding or None',
    );
    args.only('dim', 0);
    args.only('keepdim', true);
    args.dtype('dtype', ['float32']);
    args.accept('allow_missing_keys');
    args.finish();
    const steps = keys.map(
      (_, at) =>
        ({
          argmax: argmax[at],
          classes: classes[at],
          threshold: threshold[at],
          rounding: rounding[at],
        }) as Discretisation,
    );
    const [first] = steps;
    if (n === 1 && first?.argmax && first.classes === null && first.threshold === null && first.rounding === null)
      return argmaxTransform(args.component, keys[0] as string);
    const isFlag = steps.every(({ threshold, classes: onehot }) => threshold !== null || onehot !== null);
    return {
      component: args.component,
      keys,
      ...(isFlag ? { means: 'flag' as const } : {}),
      async apply(data, context) {
        for (const [at, key] of keys.entries())
          data.set(key, await discretised(imageOf(data, key), steps[at] as Discretisation, context));
      },
    };
  },
};

const numberOrNone = (value: ConfigValue): number | null | undefined =>
  value === null || (typeof value === 'number' && Number.isFinite(value)) ? value : undefined;

const wholeOrNone = (value: ConfigValue): number | null | undefined =>
  value === null || (typeof value === 'number' && Number.isInteger(value) && value > 0 && value <= 1024)
    ? value
    : undefined;

async function discretised(image: MetaImage, steps: Discretisation, context: RunContext): Promise<MetaImage> {
  const { pool, signal } = context;
  let result = steps.argmax ? await argmaxOf(image, false, context) : image;
  if (steps.classes !== null) {
    const { voxels } = result;
    const target = sharedImage('uint8', steps.classes, voxels.shape, memoryOrderOf(voxels));
    await oneHotInto(voxels, target, pool, signal);
    result = { ...result, voxels: target, owned: true, fromArgmax: false };
  }
  if (steps.threshold !== null) {
    const { voxels } = result;
    const target = sharedImage('uint8', voxels.channels, voxels.shape, memoryOrderOf(voxels));
    await thresholdInto(voxels, target, steps.threshold, pool, signal);
    result = { ...result, voxels: target, owned: true, fromArgmax: false };
  }
  if (steps.rounding !== null && result.voxels.data instanceof Float32Array) {
    const voxels = await writableFloats(result, context);
    await roundInPlace(voxels, pool, signal);
    result = { ...result, voxels, owned: true };
  }
  return result;
}
