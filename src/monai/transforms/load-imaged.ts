import { EndpointError } from '../../errors.ts';
import { stridedOver, xFastest } from '../../imaging/strided-image.ts';
import type { Volume, VoxelArray } from '../../imaging/volume.ts';
import { castTo, castTypes } from '../image-data.ts';
import type { MetaImage } from '../meta-image.ts';
import type { TransformDefinition } from './transform.ts';

/**
 * MONAI `LoadImaged`. The series or file was read before, so this stands for the volume in memory; whichever reader
 * the bundle names, the axes are i, j, k and the affine is RAS.
 */
export const loadImaged: TransformDefinition = {
  target: 'LoadImaged',
  compile(args) {
    const keys = args.keys();
    const dtype = args.dtype('dtype', castTypes);
    const channelFirst = args.boolean('ensure_channel_first', false);
    // A reader's own options (`converter`) say how files become arrays; here that was done before.
    args.only('affine_lps_to_ras', true);
    args.only('reverse_indexing', true);
    args.accept('reader', 'converter', 'meta_keys', 'meta_key_postfix', 'overwriting', 'image_only', 'simple_keys');
    args.accept('prune_meta_pattern', 'prune_meta_sep', 'allow_missing_keys', 'expanduser');
    args.finish();
    return {
      component: args.component,
      keys,
      ignoresChannel: true,
      loads: keys.map((key) => ({ key, channelFirst })),
      // The volumes were put in place before the first step, but for those that the bundle only copies.
      async apply(data, context) {
        for (const key of keys) {
          const image = data.get(key);
          if (image && dtype !== undefined && dtype !== 'float32') data.set(key, await castTo(image, dtype, context));
        }
      },
    };
  },
};

/** A volume as a one-channel image in shared memory, with values that float32 holds exactly as MONAI's does. */
export function imageOfVolume(volume: Volume): MetaImage {
  return {
    voxels: stridedOver(sharedVoxels(volume.data), 1, volume.shape, xFastest),
    affineRas: volume.affineRas,
    applied: [],
    owned: false,
    fromArgmax: false,
  };
}

function sharedVoxels(data: VoxelArray): VoxelArray {
  const exact = !(data instanceof Float64Array || data instanceof Int32Array || data instanceof Uint32Array);
  if (exact && data.buffer instanceof SharedArrayBuffer) return data;
  const Type = (exact ? data.constructor : Float32Array) as new (buffer: SharedArrayBuffer) => VoxelArray;
  const bytes = data.length * (exact ? data.BYTES_PER_ELEMENT : 4);
  if (!Number.isSafeInteger(bytes)) throw new EndpointError('unprocessable_image', 'The volume is too large.');
  const shared = new Type(new SharedArrayBuffer(bytes));
  shared.set(data);
  return shared;
}
