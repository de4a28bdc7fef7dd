import { EndpointError } from '../../errors.ts';
import { type Affine, flipLpsRas, transformPoint } from '../../imaging/affine.ts';
import type { Arguments } from '../arguments.ts';
import { clipBoxes, convertBoxes } from '../detection/box-modes.ts';
import { type BoxMode, boxModes, type Detections, pickDetections } from '../detection/detections.ts';
import { imageOf } from '../image-data.ts';
import type { ImageData } from '../meta-image.ts';
import type { BoxStep, Transform, TransformDefinition } from './transform.ts';

/** MONAI `ClipBoxToImaged`: boxes cut to the image; those that are then empty go with their labels and scores. */
export const clipBoxToImaged: TransformDefinition = {
  target: 'ClipBoxToImaged',
  needsKeys: true,
  compile(args) {
    const key = onlyKey(args, 'box_keys');
    const image = onlyKey(args, 'box_ref_image_keys');
    const labels = args.keys('label_keys');
    const removeEmpty = args.boolean('remove_empty', true);
    args.accept('allow_missing_keys');
    args.finish();
    const step: BoxStep = { key, labels, takes: { mode: 'xyzxyz', space: 'voxels' }, gives: {} };
    return boxTransform(args, step, [image], (found, data) => {
      const { boxes, whole } = clipBoxes(found.boxes, imageOf(data, image).voxels.shape);
      const cut = { ...found, boxes };
      return removeEmpty ? pickDetections(cut, whole) : cut;
    });
  },
};

/**
 * MONAI `AffineBoxToWorldCoordinated`: voxels to millimetres. MONAI moves two opposite corners, which gives the box only
 * where the image's axes are the patient's; here a box encloses all eight corners, which is the same there.
 */
export const affineBoxToWorldCoordinated: TransformDefinition = {
  target: 'AffineBoxToWorldCoordinated',
  needsKeys: true,
  compile(args) {
    const key = onlyKey(args, 'box_keys');
    const image = onlyKey(args, 'box_ref_image_keys');
    const isLps = args.boolean('affine_lps_to_ras', false);
    args.accept('allow_missing_keys', 'image_meta_key', 'image_meta_key_postfix');
    args.finish();
    // The image's affine is RAS whichever reader the bundle names; this argument flips it.
    const space = isLps ? 'LPS' : 'RAS';
    const step: BoxStep = { key, labels: [], takes: { mode: 'xyzxyz', space: 'voxels' }, gives: { space } };
    return boxTransform(args, step, [image], (found, data) => {
      const { affineRas } = imageOf(data, image);
      return { ...found, space, boxes: enclosing(found.boxes, isLps ? flipLpsRas(affineRas) : affineRas) };
    });
  },
};

/** MONAI `ConvertBoxModed`. */
export const convertBoxModed: TransformDefinition = {
  target: 'ConvertBoxModed',
  needsKeys: true,
  compile(args) {
    const key = onlyKey(args, 'box_keys');
    const from = modeOf(args, 'src_mode');
    const to = modeOf(args, 'dst_mode');
    args.accept('allow_missing_keys');
    args.finish();
    const step: BoxStep = { key, labels: [], takes: { mode: from }, gives: { mode: to } };
    return boxTransform(args, step, [], (found) => ({
      ...found,
      mode: to,
      boxes: convertBoxes(found.boxes, from, to),
    }));
  },
};

function boxTransform(
  args: Arguments,
  boxes: BoxStep,
  keys: readonly string[],
  change: (found: Detections, data: ImageData) => Detections,
): Transform {
  return {
    component: args.component,
    keys,
    boxes,
    async apply(data) {
      if (!data.detections) throw new EndpointError('internal', 'The bundle has no boxes at this step.');
      data.detections = change(data.detections, data);
    },
  };
}

function onlyKey(args: Arguments, name: string): string {
  const keys = args.keys(name);
  if (keys.length !== 1) throw args.refuse(`'${name}' must be one key`);
  return keys[0] as string;
}

/** None is MONAI's standard mode. */
const modeOf = (args: Arguments, name: string): BoxMode =>
  args.raw(name) === null ? 'xyzxyz' : args.choice(name, boxModes, 'xyzxyz');

/** Boxes along the axes of the new space that hold the old ones. */
function enclosing(boxes: Float32Array, affine: Affine): Float32Array {
  const moved = new Float32Array(boxes.length);
  for (let at = 0; at < boxes.length; at += 6) {
    const low = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
    const high = low.map((value) => -value);
    for (let corner = 0; corner < 8; corner++) {
      const point = [0, 1, 2].map((axis) => boxes[at + axis + ((corner >> axis) & 1 ? 3 : 0)] as number);
      for (const [axis, value] of transformPoint(affine, point as [number, number, number]).entries()) {
        low[axis] = Math.min(low[axis] as number, value);
        high[axis] = Math.max(high[axis] as number, value);
      }
    }
    moved.set([...low, ...high], at);
  }
  return moved;
}
