import { standardDeviation, statistics } from '../../compute/kernels/statistics.ts';
import type { IntensityMap } from '../../compute/kernels/voxelwise.ts';
import { EndpointError } from '../../errors.ts';
import type { Arguments } from '../arguments.ts';
import { isList } from '../bundle/config-value.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { channelsOf, eachImage } from './each-image.ts';
import { rescaled } from './scale-intensity-range.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `NormalizeIntensityd`: mean 0 and standard deviation 1, of all voxels or of those that aren't zero. */
export const normalizeIntensityd: TransformDefinition = {
  target: 'NormalizeIntensityd',
  compile(args) {
    const keys = args.keys();
    const nonzero = args.boolean('nonzero', false);
    const channelWise = args.boolean('channel_wise', false);
    const subtrahends = readPerChannel(args, 'subtrahend', channelWise);
    const divisors = readPerChannel(args, 'divisor', channelWise);
    args.dtype('dtype', ['float32']);
    args.accept('allow_missing_keys');
    args.finish();
    const change = async (image: MetaImage, _n: number, context: RunContext): Promise<MetaImage> => {
      const all = channelsOf(image);
      for (const given of [subtrahends, divisors]) {
        if (channelWise && given && given.length !== all.length)
          throw new EndpointError(
            'unprocessable_image',
            `The image has ${all.length} channels; the bundle normalizes ${given.length}.`,
          );
      }
      const mapOf = (channels: readonly number[]): Promise<IntensityMap> =>
        normalization(
          image,
          channels,
          { nonzero, subtrahend: subtrahends?.[channels[0] as number], divisor: divisors?.[channels[0] as number] },
          context,
        );
      const shared = channelWise ? undefined : await mapOf(all);
      const maps = shared ? all.map(() => shared) : await Promise.all(all.map((channel) => mapOf([channel])));
      return rescaled(image, maps, context);
    };
    return eachImage(args, keys, change, { ignoresChannel: !channelWise });
  },
};

interface Normalization {
  readonly nonzero: boolean;
  readonly subtrahend: number | undefined;
  readonly divisor: number | undefined;
}

async function normalization(
  image: MetaImage,
  channels: readonly number[],
  { nonzero, subtrahend, divisor }: Normalization,
  { pool, signal }: RunContext,
): Promise<IntensityMap> {
  const counted = { channels, onlyNonzero: nonzero };
  const found =
    subtrahend === undefined || divisor === undefined
      ? await statistics(image.voxels, counted, pool, signal)
      : undefined;
  // All voxels are zero: MONAI leaves the image as it is.
  if (found?.count === 0) return { subtract: 0, divide: 1, keepZeros: true };
  const deviation =
    divisor ??
    Math.fround(await standardDeviation(image.voxels, counted, found as { count: number; mean: number }, pool, signal));
  return {
    subtract: subtrahend ?? Math.fround(found?.mean as number),
    divide: deviation === 0 ? 1 : deviation,
    keepZeros: nonzero,
  };
}

/** A number, or with `channel_wise` one for each channel; None: to be computed. */
function readPerChannel(
  args: Arguments,
  name: 'subtrahend' | 'divisor',
  channelWise: boolean,
): readonly number[] | undefined {
  const value = args.raw(name);
  if (value === undefined || value === null) return undefined;
  const list = isList(value) ? value : [value];
  const valid = list.every((item): item is number => typeof item === 'number' && Number.isFinite(item));
  if (!valid || isList(value) !== channelWise)
    throw args.refuse(
      `'${name}' must be ${channelWise ? 'a list with a number for each channel' : 'a number'} or None`,
    );
  return list;
}
