import { type KernelType, sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { evaluateVoxels } from '../../compute/kernels/voxel-expression.ts';
import type { VoxelExpression } from '../../compute/kernels/voxel-expression-task.ts';
import { EndpointError } from '../../errors.ts';
import { isDense, memoryOrderOf } from '../../imaging/strided-image.ts';
import type { Arguments } from '../arguments.ts';
import type { Lambda } from '../bundle/config-value.ts';
import { ExpressionError } from '../bundle/expression-tokens.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { eachImage } from './each-image.ts';
import { storedType } from './regrid.ts';
import type { TransformDefinition } from './transform.ts';
import { largestLabel, MissingChannel, voxelExpressions, voxelFunction } from './voxel-function.ts';

/** MONAI `Lambdad`, for lambdas that work voxel by voxel or select channels. */
export const lambdad: TransformDefinition = {
  target: 'Lambdad',
  compile(args) {
    const keys = args.keys();
    const functions = args.perKey('func', keys.length, undefined, voxelFunction, 'a lambda');
    args.only('inv_func', null);
    args.only('overwrite', true);
    args.accept('track_meta', 'allow_missing_keys');
    args.finish();
    const checked = functions.map((lambda) => {
      if (!lambda) throw args.refuse("'func' is missing");
      check(lambda, args);
      return lambda;
    });
    return eachImage(args, keys, (image, n, context) => applied(image, checked[n] as Lambda, context));
  },
};

/** Refuses at once what no image could make right. */
function check(lambda: Lambda, args: Arguments): void {
  try {
    voxelExpressions(lambda, 8);
  } catch (thrown) {
    if (thrown instanceof ExpressionError) throw args.refuse(`'func' is not supported: ${thrown.message}`);
    if (!(thrown instanceof MissingChannel)) throw thrown;
  }
}

async function applied(image: MetaImage, lambda: Lambda, context: RunContext): Promise<MetaImage> {
  const { voxels } = image;
  const expressions = expressionsFor(lambda, voxels.channels);
  const [first] = expressions;
  const isRun = expressions.every(
    (item, n) => item.kind === 'channel' && first?.kind === 'channel' && item.channel === first.channel + n,
  );
  if (isRun && first?.kind === 'channel') {
    const offset = voxels.offset + first.channel * voxels.channelStride;
    return { ...image, voxels: { ...voxels, channels: expressions.length, offset }, fromArgmax: false };
  }
  if (!isDense(voxels)) throw new RangeError('A lambda needs channels without gaps.');
  const target = sharedImage(typeOf(expressions, image), expressions.length, voxels.shape, memoryOrderOf(voxels));
  await evaluateVoxels(voxels, target, expressions, context.pool, context.signal);
  return { ...image, voxels: target, owned: true, fromArgmax: false };
}

function expressionsFor(lambda: Lambda, channels: number): VoxelExpression[] {
  try {
    return voxelExpressions(lambda, channels);
  } catch (cause) {
    if (!(cause instanceof MissingChannel || cause instanceof ExpressionError)) throw cause;
    throw new EndpointError(
      'unsupported_bundle',
      `The bundle's lambda does not fit an image of ${channels} channels: ${cause.message}`,
      { cause },
    );
  }
}

/** Labels where nothing else can come out. */
function typeOf(expressions: readonly VoxelExpression[], image: MetaImage): KernelType {
  if (expressions.every((item) => item.kind === 'channel')) return storedType(image.voxels.data);
  const largest = expressions.map(largestLabel);
  if (largest.some((label) => label === undefined || label > 65_535)) return 'float32';
  return Math.max(...(largest as number[])) <= 255 ? 'uint8' : 'uint16';
}
