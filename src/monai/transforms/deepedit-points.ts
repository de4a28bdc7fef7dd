import { EndpointError } from '../../errors.ts';
import { type Affine, invertAffine, multiplyAffines, transformPoint } from '../../imaging/affine.ts';
import { orientationOf } from '../../imaging/orientation.ts';
import type { Shape3 } from '../../imaging/volume.ts';
import type { Arguments } from '../arguments.ts';
import { isDictionary } from '../bundle/config-value.ts';
import { imageOf } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { clicksName, type Point, type PointSet } from '../points.ts';
import type { TransformDefinition } from './transform.ts';

/** More clicks than anybody makes. */
const mostClicks = 1000;

/** The model zoo's `scripts.transforms.OrientationGuidanceMultipleLabelDeepEditd`: clicks turned as the image was. */
export const orientationGuidance: TransformDefinition = {
  target: 'scripts.transforms.OrientationGuidanceMultipleLabelDeepEditd',
  needsKeys: true,
  compile(args) {
    const key = args.text('ref_image', 'image');
    const labels = readLabels(args);
    args.finish();
    return {
      component: args.component,
      keys: [key],
      clicks: { labels, least: 0, most: mostClicks },
      async apply(data, { points }) {
        const clicks = points?.get(clicksName);
        if (clicks) points?.set(clicksName, turned(clicks, imageOf(data, key)));
      },
    };
  },
};

/** MONAI `AddGuidanceFromPointsDeepEditd`: the clicks on the loaded image as voxels of this one, by label. */
export const addGuidanceFromPoints: TransformDefinition = {
  target: 'AddGuidanceFromPointsDeepEditd',
  needsKeys: true,
  compile(args) {
    const key = args.text('ref_image');
    const guidance = args.text('guidance', 'guidance');
    const labels = readLabels(args);
    args.accept('meta_keys', 'meta_key_postfix');
    args.finish();
    return {
      component: args.component,
      keys: [key],
      clicks: { labels, least: 0, most: mostClicks },
      // AddGuidanceSignalDeepEditd makes them, which has no list of the labels.
      adds: { key, channels: labels.length },
      async apply(data, context) {
        const image = imageOf(data, key);
        const clicks = pointsNamed(clicksName, context);
        if (!isSameDirection(clicks.affineRas, image.affineRas))
          throw unsupported('The bundle turns the image, but not the clicks in it.');
        const byLabel = new Map(labels.map((label) => [label, clicks.byLabel.get(label) ?? []]));
        context.points?.set(guidance, scaled({ ...clicks, byLabel }, image));
      },
    };
  },
};

/** MONAI `ResizeGuidanceMultipleLabelDeepEditd`: points follow the image to another size. */
export const resizeGuidance: TransformDefinition = {
  target: 'ResizeGuidanceMultipleLabelDeepEditd',
  needsKeys: true,
  compile(args) {
    const guidance = args.text('guidance');
    const key = args.text('ref_image');
    args.finish();
    return {
      component: args.component,
      keys: [key],
      async apply(data, context) {
        context.points?.set(guidance, scaled(pointsNamed(guidance, context), imageOf(data, key)));
      },
    };
  },
};

/**
 * Points in voxels of an image as large as this one, cut to whole ones. The factor is that of the loaded image, as in
 * MONAI; where the axes were exchanged, MONAI takes the sizes in the order that the file had, and clicks go astray.
 */
function scaled(points: PointSet, { voxels }: MetaImage): PointSet {
  const along = ([x, y, z]: Point): Point => {
    const [fx, fy, fz] = voxels.shape.map((size, axis) => size / (points.shape[axis] as number)) as [
      number,
      number,
      number,
    ];
    return [Math.trunc(x * fx), Math.trunc(y * fy), Math.trunc(z * fz)];
  };
  return { ...points, byLabel: new Map([...points.byLabel].map(([label, list]) => [label, list.map(along)])) };
}

/** Points on an image's grid, which differs from theirs in the order and direction of the axes alone. */
function turned(points: PointSet, image: MetaImage): PointSet {
  const map = multiplyAffines(invertAffine(image.affineRas), points.affineRas);
  const sources = ([0, 1, 2] as const).map((row) => sourceOf(map, row));
  if (sources.some((source) => source === undefined))
    throw unsupported('The bundle resamples the image before it turns the clicks in it.');
  const at = (point: Point): Point => transformPoint(map, point).map(Math.round) as unknown as Point;
  return {
    byLabel: new Map([...points.byLabel].map(([label, list]) => [label, list.map(at)])),
    shape: sources.map((axis) => points.shape[axis as 0]) as unknown as Shape3,
    affineRas: image.affineRas,
  };
}

/** The axis that an axis of the result comes from, forwards or backwards; undefined where it is no axis alone. */
function sourceOf(map: Affine, row: 0 | 1 | 2): 0 | 1 | 2 | undefined {
  const steps = [0, 1, 2].map((column) => Math.abs(map[(row * 4 + column) as 0]));
  const axis = steps.findIndex((step) => Math.abs(step - 1) < 1e-4);
  return axis >= 0 && steps.every((step, other) => other === axis || step < 1e-4) ? (axis as 0 | 1 | 2) : undefined;
}

function isSameDirection(a: Affine, b: Affine): boolean {
  const [one, other] = [orientationOf(a), orientationOf(b)];
  return one.every(({ axis, sign }, n) => axis === other[n]?.axis && sign === other[n]?.sign);
}

/** Points that an earlier transform has made, or the request's clicks. */
export function pointsNamed(name: string, { points }: RunContext): PointSet {
  const found = points?.get(name);
  if (!found)
    throw unsupported(`The bundle makes no points '${name.slice(0, 60)}'; AddGuidanceFromPointsDeepEditd must.`);
  return found;
}

/** `label_names`: label → number; their order is that of the channels. */
function readLabels(args: Arguments): string[] {
  const value = args.raw('label_names') ?? null;
  if (isDictionary(value) && value.size > 0 && value.size <= 64) return [...value.keys()];
  throw args.refuse("'label_names' must be a dictionary of labels");
}

const unsupported = (what: string): EndpointError => new EndpointError('unsupported_bundle', what);
