import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { evaluateVoxels } from '../../compute/kernels/voxel-expression.ts';
import type { VoxelExpression } from '../../compute/kernels/voxel-expression-task.ts';
import { EndpointError } from '../../errors.ts';
import { isDense, memoryOrderOf } from '../../imaging/strided-image.ts';
import { imageOf } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { eachImage } from './each-image.ts';
import { concatenated } from './items.ts';
import { isSameGrid, resampledTo } from './spatial-resample.ts';
import type { TransformDefinition } from './transform.ts';

/**
 * The model zoo's `scripts.my_transforms.ConcatImages` (renalStructures_CECT_segmentation): images as the channels of one.
 * It puts voxels of equal index together; an image on another grid than the first's is interpolated onto that before.
 */
export const concatImages: TransformDefinition = {
  target: 'scripts.my_transforms.ConcatImages',
  needsKeys: true,
  compile(args) {
    const keys = args.keys('keys_merge');
    const key = args.text('keys_out');
    args.accept('allow_missing_keys');
    args.finish();
    return {
      component: args.component,
      keys,
      makes: [{ key, like: keys[0] as string }],
      async apply(data, context) {
        const images: MetaImage[] = [];
        for (const one of keys)
          images.push(await onGridOf(imageOf(data, keys[0] as string), imageOf(data, one), one, context));
        data.set(key, await concatenated(images, context));
      },
    };
  },
};

async function onGridOf(first: MetaImage, image: MetaImage, key: string, context: RunContext): Promise<MetaImage> {
  const grid = { affineRas: first.affineRas, shape: first.voxels.shape };
  if (isSameGrid(image, grid)) return image;
  context.warn?.(`The image '${key.slice(0, 60)}' lies on another grid than the first; it was interpolated onto it.`);
  const modes = { interpolation: 'bilinear', edge: 'zeros', alignCorners: false } as const;
  return resampledTo(image, { ...grid, modes, order: memoryOrderOf(first.voxels) }, context);
}

/**
 * The model zoo's `scripts.my_transforms.MergeClassesd`: channels of 0 and 1 as one label map. Where several are set, the
 * first of them counts; channel 0 is background.
 */
export const mergeClassesd: TransformDefinition = {
  target: 'scripts.my_transforms.MergeClassesd',
  needsKeys: true,
  compile(args) {
    const keys = args.keys();
    args.accept('allow_missing_keys');
    args.finish();
    return eachImage(args, keys, merged);
  },
};

async function merged(image: MetaImage, _n: number, { pool, signal }: RunContext): Promise<MetaImage> {
  const { voxels } = image;
  if (!isDense(voxels)) throw new EndpointError('internal', 'Channels to be merged must lie in one piece.');
  let labels: VoxelExpression = { kind: 'number', value: 0 };
  for (let channel = voxels.channels - 1; channel > 0; channel--) {
    const value: VoxelExpression = { kind: 'channel', channel };
    const number: VoxelExpression = { kind: 'number', value: channel };
    labels = {
      kind: 'where',
      test: { kind: 'binary', operator: '!=', left: value, right: { kind: 'number', value: 0 } },
      yes: { kind: 'binary', operator: '*', left: number, right: value },
      no: labels,
    };
  }
  const target = sharedImage('float32', 1, voxels.shape, memoryOrderOf(voxels));
  await evaluateVoxels(voxels, target, [labels], pool, signal);
  // Of channels that are no masks the products are no channel numbers, and channel_def must not name them.
  return { ...image, voxels: target, owned: true, fromArgmax: voxels.data instanceof Uint8Array };
}
