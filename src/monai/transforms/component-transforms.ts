import type { Connectivity } from '../../compute/kernels/components.ts';
import { fillHolesInPlace, keepLargestInPlace, labelsIn, removeSmallInPlace } from '../../compute/kernels/connected.ts';
import type { KernelArray } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import type { StridedImage } from '../../imaging/strided-image.ts';
import type { Arguments } from '../arguments.ts';
import { isList } from '../bundle/config-value.ts';
import { writableVoxels } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { channelsOf, eachImage } from './each-image.ts';
import { spatialDimsOf } from './per-axis.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `KeepLargestConnectedComponentd`. */
export const keepLargestConnectedComponentd: TransformDefinition = {
  target: 'KeepLargestConnectedComponentd',
  compile(args) {
    const keys = args.keys();
    const labels = readLabels(args);
    const onehot = args.optionalBoolean('is_onehot');
    const independent = args.boolean('independent', true);
    const connectivity = readConnectivity(args, null);
    const keep = args.number('num_components', 1);
    if (!Number.isInteger(keep) || keep < 1) throw args.refuse("'num_components' must be a positive whole number");
    args.accept('allow_missing_keys');
    args.finish();
    if (onehot !== false && !independent && onehot !== null)
      throw args.refuse("'independent': False of one-hot channels is not supported");
    const change = async (image: MetaImage, _n: number, context: RunContext): Promise<MetaImage> => {
      const isOnehot = onehot ?? image.voxels.channels > 1;
      if (isOnehot && !independent) throw args.refuse("'independent': False of one-hot channels is not supported");
      const voxels = await writableVoxels(image, context);
      const channels = isOnehot ? (labels ?? channelsOf(image).filter((channel) => channel > 0)) : [0];
      const options = { labels: isOnehot ? undefined : labels, together: !independent, positive: isOnehot, keep };
      for (const channel of channels) {
        const one = { image: voxels, channel: existing(channel, image), connectivity: reachOf(connectivity, image) };
        await keepLargestInPlace(one, options, context.pool, context.signal);
      }
      return { ...image, voxels, owned: true };
    };
    return eachImage(args, keys, change);
  },
};

/** MONAI `RemoveSmallObjectsd`. */
export const removeSmallObjectsd: TransformDefinition = {
  target: 'RemoveSmallObjectsd',
  compile(args) {
    const keys = args.keys();
    const minSize = args.number('min_size', 64);
    const connectivity = readConnectivity(args, 1);
    const independent = args.boolean('independent_channels', true);
    const byMeasure = args.boolean('by_measure', false);
    args.only('pixdim', null);
    args.accept('allow_missing_keys');
    args.finish();
    const change = async (image: MetaImage, _n: number, context: RunContext): Promise<MetaImage> => {
      if (image.voxels.channels !== 1)
        throw new EndpointError('unsupported_bundle', 'RemoveSmallObjects of several channels is not supported.');
      const voxelMeasure = voxelSize(image);
      const voxels = await writableVoxels(image, context);
      const options = { minSize: byMeasure ? Math.ceil(minSize / voxelMeasure) : minSize };
      const labels = await labelsIn(voxels, 0, context.pool, context.signal);
      // Labels beyond 1 are objects themselves there, each as large as all its voxels together.
      if (independent && labels.some((label) => label > 1))
        throw new EndpointError(
          'unsupported_bundle',
          'RemoveSmallObjects of labels other than 0 and 1 is not supported.',
        );
      const one = { image: voxels, channel: 0, connectivity: reachOf(connectivity, image) };
      await removeSmallInPlace(one, options, context.pool, context.signal);
      return { ...image, voxels, owned: true };
    };
    return eachImage(args, keys, change);
  },
};

/** Product of the steps of the axes that the bundle sees, as MONAI takes them from that part of the affine alone. */
function voxelSize(image: MetaImage): number {
  const { affineRas } = image;
  const dims = spatialDimsOf(image);
  let product = 1;
  for (let column = 0; column < dims; column++) {
    let sum = 0;
    for (let row = 0; row < dims; row++) sum += (affineRas[(row * 4 + column) as 0] as number) ** 2;
    product *= Math.sqrt(sum) || 1;
  }
  return product;
}

/** MONAI `FillHolesd`: holes that a label encloses become that label. */
export const fillHolesd: TransformDefinition = {
  target: 'FillHolesd',
  compile(args) {
    const keys = args.keys();
    const given = readLabels(args);
    const connectivity = readConnectivity(args, null);
    args.accept('allow_missing_keys');
    args.finish();
    const change = async (image: MetaImage, _n: number, context: RunContext): Promise<MetaImage> => {
      const { pool, signal } = context;
      const voxels = await writableVoxels(image, context);
      const onehot = image.voxels.channels > 1;
      const labels = (given?.length ? given : onehot ? channelsOf(image) : await labelsIn(voxels, 0, pool, signal))
        .filter((label) => label !== 0)
        .toSorted((a, b) => a - b);
      for (const label of labels) {
        const channel = onehot ? existing(label, image) : 0;
        const one = { image: voxels, channel, connectivity: reachOf(connectivity, image) };
        await fillHolesInPlace(one, { label, positive: onehot, axes: spatialDimsOf(image) }, pool, signal);
      }
      return { ...image, voxels: voxels as StridedImage<KernelArray>, owned: true };
    };
    return eachImage(args, keys, change);
  },
};

function readLabels(args: Arguments): readonly number[] | undefined {
  const value = args.raw('applied_labels');
  if (value === undefined || value === null) return undefined;
  const list = isList(value) ? value : [value];
  if (list.every((item): item is number => Number.isInteger(item) && (item as number) >= 0)) return list;
  throw args.refuse("'applied_labels' must be a label or a list of labels");
}

/** None is the full one of the image's axes. */
function readConnectivity(args: Arguments, fallback: 1 | null): Connectivity | null {
  const value = args.optionalNumber('connectivity', fallback);
  if (value === null || value === 1 || value === 2 || value === 3) return value;
  throw args.refuse("'connectivity' must be 1, 2, 3 or None");
}

const reachOf = (connectivity: Connectivity | null, image: MetaImage): Connectivity =>
  connectivity ?? spatialDimsOf(image);

function existing(channel: number, image: MetaImage): number {
  if (channel < image.voxels.channels) return channel;
  throw new EndpointError('unsupported_bundle', `The bundle names channel ${channel}; the image has not so many.`);
}
