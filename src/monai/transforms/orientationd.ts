import { EndpointError } from '../../errors.ts';
import { type Affine, multiplyAffines } from '../../imaging/affine.ts';
import {
  axisSources,
  type Orientation,
  orientationOf,
  parseAxisCodes,
  reorientationAffine,
} from '../../imaging/orientation.ts';
import { reoriented } from '../../imaging/strided-image.ts';
import type { Component } from '../bundle/config-value.ts';
import { imageOf } from '../image-data.ts';
import type { MetaImage } from '../meta-image.ts';
import type { TransformDefinition } from './transform.ts';

/** MONAI `Orientationd`: axes flipped and exchanged until they run as `axcodes` say. No voxel is moved. */
export const orientationd: TransformDefinition = {
  target: 'Orientationd',
  compile(args) {
    const keys = args.keys();
    const canonical = args.boolean('as_closest_canonical', false);
    const codes = args.raw('axcodes');
    const target = parseAxisCodes(canonical ? 'RAS' : String(codes));
    if (!target) throw args.refuse("'axcodes' must be three letters such as RAS, one of each pair L/R, P/A and I/S");
    args.only('labels', null);
    args.only('lazy', false, null);
    args.accept('allow_missing_keys');
    args.finish();
    return {
      component: args.component,
      keys,
      async apply(data) {
        for (const key of keys) data.set(key, applyOrientation(imageOf(data, key), target, args.component));
      },
    };
  },
};

function applyOrientation(image: MetaImage, target: Orientation, by: Component): MetaImage {
  const original = orientation(image.affineRas);
  return {
    ...moved(image, target),
    applied: [...image.applied, { by, movesVoxels: false, invert: async (inverse) => moved(inverse, original) }],
  };
}

function moved(image: MetaImage, target: Orientation): MetaImage {
  const sources = axisSources(orientation(image.affineRas), target);
  return {
    ...image,
    voxels: reoriented(image.voxels, sources),
    affineRas: multiplyAffines(image.affineRas, reorientationAffine(sources, image.voxels.shape)),
  };
}

function orientation(affine: Affine): Orientation {
  try {
    return orientationOf(affine);
  } catch (cause) {
    throw new EndpointError('unprocessable_image', 'The geometry of the image is singular.', { cause });
  }
}
