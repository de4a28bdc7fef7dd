import type { Affine } from '../imaging/affine.ts';
import type { Shape3 } from '../imaging/volume.ts';

/** A position in voxels, axis by axis. */
export type Point = readonly [x: number, y: number, z: number];

/** A click of a request: a voxel of the image as it was loaded, and what it marks, where the bundle has labels. */
export interface Click {
  readonly voxel: Point;
  readonly label?: string | undefined;
}

/** Points by their labels; those of a bundle without labels are under {@link noLabel}. */
export interface PointSet {
  readonly byLabel: ReadonlyMap<string, readonly Point[]>;
  /** The loaded image's grid, its axes in the order and direction that the points have now. */
  readonly shape: Shape3;
  readonly affineRas: Affine;
}

/** The points of a run by name: the request's under {@link clicksName}, those that transforms make under their own. */
export type PointSets = Map<string, PointSet>;

/** No key of a bundle is empty, so that none can mean the request's clicks. */
export const clicksName = '';
export const noLabel = '';

/** Which clicks a bundle takes. */
export interface ClickUse {
  /** What they may mark; absent: they have no labels. */
  readonly labels?: readonly string[] | undefined;
  /** How many there must be at least and may be at most. */
  readonly least: number;
  readonly most: number;
}

/** The clicks of a run as points on the grid of the image that was loaded. */
export function pointsOfClicks(clicks: readonly Click[], { shape, affineRas }: Omit<PointSet, 'byLabel'>): PointSets {
  const byLabel = new Map<string, Point[]>();
  for (const { label = noLabel, voxel } of clicks) byLabel.set(label, [...(byLabel.get(label) ?? []), voxel]);
  return new Map([[clicksName, { byLabel, shape, affineRas }]]);
}
