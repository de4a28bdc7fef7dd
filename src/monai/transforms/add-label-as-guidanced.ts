import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { evaluateVoxels } from '../../compute/kernels/voxel-expression.ts';
import { EndpointError } from '../../errors.ts';
import { isDense, memoryOrderOf } from '../../imaging/strided-image.ts';
import { imageOf } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { concatenated } from './items.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `AddLabelAsGuidanced` (NuClick): where the label is positive, as one more channel of the image. */
export const addLabelAsGuidanced: TransformDefinition = {
  target: 'AddLabelAsGuidanced',
  needsKeys: true,
  compile(args) {
    const keys = args.keys();
    const source = args.text('source', 'label');
    args.finish();
    return {
      component: args.component,
      keys: [...keys, source],
      async apply(data, context) {
        const mask = await positive(imageOf(data, source), context);
        for (const key of keys) data.set(key, await concatenated([imageOf(data, key), mask], context));
      },
    };
  },
};

async function positive(image: MetaImage, { pool, signal }: RunContext): Promise<MetaImage> {
  const { voxels } = image;
  if (!isDense(voxels)) throw new EndpointError('internal', 'A label must lie in one piece.');
  const target = sharedImage('uint8', voxels.channels, voxels.shape, memoryOrderOf(voxels));
  const expressions = Array.from({ length: voxels.channels }, (_, channel) => ({
    kind: 'binary' as const,
    operator: '>' as const,
    left: { kind: 'channel' as const, channel },
    right: { kind: 'number' as const, value: 0 },
  }));
  await evaluateVoxels(voxels, target, expressions, pool, signal);
  return { ...image, voxels: target, owned: true };
}
