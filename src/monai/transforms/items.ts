import { rearrange } from '../../compute/kernels/rearrange.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { memoryOrderOf } from '../../imaging/strided-image.ts';
import { imageOf } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { eachImage } from './each-image.ts';
import { storedType } from './regrid.ts';
import type { TransformDefinition } from './transform.ts';

/** More channels than any network takes: stops transforms that multiply them again and again. */
const maxChannels = 1024;

/** MONAI `CopyItemsd`: the same image under other names. */
export const copyItemsd: TransformDefinition = {
  target: 'CopyItemsd',
  needsKeys: true,
  compile(args) {
    const keys = args.keys();
    const times = args.number('times', 1);
    if (!Number.isInteger(times) || times < 1 || times > 64) throw args.refuse("'times' must be 1 to 64");
    const isNamed = (args.component.argument('names') ?? null) !== null;
    if (!isNamed) args.accept('names');
    const names = isNamed
      ? args.keys('names')
      : keys.flatMap((key) => Array.from({ length: times }, (_, n) => `${key}_${n}`));
    if (names.length !== keys.length * times) throw args.refuse("'names' must have a name for each copy");
    args.accept('allow_missing_keys');
    args.finish();
    const copies = names.map((name, n) => ({ key: name, like: keys[n % keys.length] as string }));
    return {
      component: args.component,
      keys,
      ignoresChannel: true,
      makes: copies,
      async apply(data) {
        // Neither may be written in place any more: both look at one memory.
        for (const { key, like } of copies) {
          const image = { ...imageOf(data, like), owned: false };
          data.set(like, image);
          data.set(key, image);
        }
      },
    };
  },
};

/** MONAI `ConcatItemsd`: the channels of several images in one. */
export const concatItemsd: TransformDefinition = {
  target: 'ConcatItemsd',
  needsKeys: true,
  compile(args) {
    const keys = args.keys();
    const name = args.text('name');
    args.only('dim', 0);
    args.accept('allow_missing_keys');
    args.finish();
    return {
      component: args.component,
      keys,
      makes: [{ key: name, like: keys[0] as string }],
      async apply(data, context) {
        const images = keys.map((key) => imageOf(data, key));
        data.set(name, await concatenated(images, context));
      },
    };
  },
};

/** The channels of several images of one shape, one image after another; geometry and history are the first one's. */
export async function concatenated(images: readonly MetaImage[], { pool, signal }: RunContext): Promise<MetaImage> {
  const [first] = images as [MetaImage];
  const { shape } = first.voxels;
  if (images.some(({ voxels }) => voxels.shape.some((size, axis) => size !== shape[axis])))
    throw new EndpointError('unprocessable_image', 'Images of different sizes cannot be channels of one.');
  const types = new Set(images.map(({ voxels }) => storedType(voxels.data)));
  const type = types.size === 1 ? ([...types][0] as 'float32') : 'float32';
  const channels = images.reduce((sum, { voxels }) => sum + voxels.channels, 0);
  if (channels > maxChannels)
    throw new EndpointError('unprocessable_image', `The bundle makes an image of ${channels} channels.`);
  const target = sharedImage(type, channels, shape, memoryOrderOf(first.voxels));
  let at = 0;
  for (const { voxels } of images) {
    const place = { ...target, channels: voxels.channels, offset: target.offset + at * target.channelStride };
    await rearrange(voxels, place, pool, signal);
    at += voxels.channels;
  }
  return { ...first, voxels: target, owned: true, fromArgmax: false };
}

/** MONAI `DeleteItemsd`: images that are no longer needed. */
export const deleteItemsd: TransformDefinition = {
  target: 'DeleteItemsd',
  needsKeys: true,
  compile(args) {
    const keys = args.keys();
    args.only('use_re', false);
    args.only('sep', '.');
    args.finish();
    return {
      component: args.component,
      keys: [],
      leaves: (key) => !keys.includes(key),
      apply: async (data) => void keys.map((key) => data.delete(key)),
    };
  },
};

/** MONAI `SelectItemsd`: only these images stay. */
export const selectItemsd: TransformDefinition = {
  target: 'SelectItemsd',
  needsKeys: true,
  compile(args) {
    const keys = args.keys();
    args.accept('allow_missing_keys');
    args.finish();
    return {
      component: args.component,
      keys,
      ignoresChannel: true,
      leaves: (key) => keys.includes(key),
      apply: async (data) => void [...data.keys()].map((key) => keys.includes(key) || data.delete(key)),
    };
  },
};

/** MONAI `RepeatChanneld`: each channel `repeats` times, one after another. */
export const repeatChanneld: TransformDefinition = {
  target: 'RepeatChanneld',
  compile(args) {
    const keys = args.keys();
    const repeats = args.number('repeats');
    if (!Number.isInteger(repeats) || repeats < 1 || repeats > 64) throw args.refuse("'repeats' must be 1 to 64");
    args.accept('allow_missing_keys');
    args.finish();
    return eachImage(args, keys, (image, _n, context) => {
      const one = (channel: number): MetaImage => {
        const offset = image.voxels.offset + channel * image.voxels.channelStride;
        return { ...image, voxels: { ...image.voxels, channels: 1, offset } };
      };
      const channels = Array.from({ length: image.voxels.channels * repeats }, (_, n) => one(Math.floor(n / repeats)));
      return concatenated(channels, context);
    });
  },
};

/** MONAI `SplitDimd` over the channels: an image for each, named by key and number. */
export const splitDimd: TransformDefinition = {
  target: 'SplitDimd',
  needsKeys: true,
  compile(args) {
    const keys = args.keys();
    args.only('dim', 0);
    args.only('keepdim', true);
    args.only('list_output', false);
    const postfixes = args.keys('output_postfixes');
    args.accept('update_meta', 'allow_missing_keys');
    args.finish();
    const makes = keys.flatMap((key) => postfixes.map((postfix) => ({ key: `${key}_${postfix}`, like: key })));
    return {
      component: args.component,
      keys,
      makes,
      async apply(data) {
        for (const key of keys) {
          const image = imageOf(data, key);
          const { voxels } = image;
          if (voxels.channels !== postfixes.length)
            throw new EndpointError(
              'unprocessable_image',
              `The bundle splits ${postfixes.length} channels; the image has ${voxels.channels}.`,
            );
          data.set(key, { ...image, owned: false });
          for (const [channel, postfix] of postfixes.entries()) {
            const offset = voxels.offset + channel * voxels.channelStride;
            data.set(`${key}_${postfix}`, { ...image, owned: false, voxels: { ...voxels, channels: 1, offset } });
          }
        }
      },
    };
  },
};
