import { rearrange } from '../../compute/kernels/rearrange.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { type StridedImage, zFastest } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { eachImage } from './each-image.ts';
import { spatialDimsOf } from './per-axis.ts';
import { storedType } from './regrid.ts';
import type { TransformDefinition } from './transform.ts';

/**
 * MONAI `EnsureChannelFirstd`. Volumes have no channel axis of their own and get one; the colours of a plane were put
 * apart when it was read. `channel_dim` names an axis of a volume whose planes are channels.
 */
export const ensureChannelFirstd: TransformDefinition = {
  target: 'EnsureChannelFirstd',
  compile(args) {
    const keys = args.keys();
    const dimension = args.raw('channel_dim') ?? null;
    const isNumber = typeof dimension === 'number' && [-3, -2, -1, 0, 1, 2].includes(dimension);
    if (dimension !== null && dimension !== 'no_channel' && !isNumber)
      throw args.refuse("'channel_dim' must be an axis (-3 to 2), None or 'no_channel'");
    args.accept('strict_check', 'allow_missing_keys');
    args.finish();
    const change = (image: MetaImage, _n: number, context: RunContext): MetaImage | Promise<MetaImage> => {
      const hasChannels = image.voxels.channels > 1;
      if (dimension === 'no_channel' && hasChannels)
        throw new EndpointError('unprocessable_image', 'The bundle wants an image of one channel.');
      if (!isNumber || hasChannels) return image;
      return channelsFromAxis(image, dimension < 0 ? dimension + 3 : dimension, context);
    };
    return eachImage(args, keys, change, { ignoresChannel: true, addsChannel: keys });
  },
};

/** The planes along an axis of a volume become the channels of a plane. */
async function channelsFromAxis(image: MetaImage, axis: number, { pool, signal }: RunContext): Promise<MetaImage> {
  const { voxels } = image;
  if (spatialDimsOf(image) === 2) return image;
  const [a, b] = [0, 1, 2].filter((other) => other !== axis) as [0 | 1 | 2, 0 | 1 | 2];
  const view: StridedImage<VoxelArray> = {
    ...voxels,
    channels: voxels.shape[axis as 0 | 1 | 2],
    channelStride: voxels.strides[axis as 0 | 1 | 2],
    shape: [voxels.shape[a], voxels.shape[b], 1],
    strides: [voxels.strides[a], voxels.strides[b], 0],
  };
  const target = sharedImage(storedType(voxels.data), view.channels, view.shape, zFastest);
  await rearrange(view, target, pool, signal);
  return { ...image, voxels: target, owned: true, spatialDims: 2 };
}
