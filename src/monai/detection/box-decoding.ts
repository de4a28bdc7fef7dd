import type { AnchorGenerator } from './anchors.ts';
import type { HeadMaps } from './head-maps.ts';

const f = Math.fround;

/** Of one level: where its anchors lie, and what the network says of them. */
export interface LevelGeometry {
  readonly shape: readonly [number, number, number];
  readonly anchors: AnchorGenerator['levels'][number];
  /** Voxels from one place to the next along each axis. */
  readonly strides: readonly [number, number, number];
  readonly shiftedBy: AnchorGenerator['shiftedBy'];
}

/** How many voxels of the network's input a place of a level's map stands for: MONAI's whole division. */
export const stridesOf = (image: readonly number[], map: readonly number[]): [number, number, number] =>
  [0, 1, 2].map((axis) => Math.floor((image[axis] as number) / (map[axis] as number))) as [number, number, number];

/**
 * MONAI's `BoxCoder.decode_single` for one anchor, in its float32 steps.
 *
 * @param box - gets xmin, ymin, zmin, xmax, ymax, zmax in voxels of the network's input
 * @param clip - greatest exponent of a size
 */
export function decodeBox(
  { shape, anchors, strides, shiftedBy }: LevelGeometry,
  regression: HeadMaps['boxRegression'][number],
  anchor: number,
  weights: readonly number[],
  clip: number,
  box: Float32Array,
): void {
  const places = shape[0] * shape[1] * shape[2];
  const inAnchors = anchor % anchors.length;
  const place = Math.floor(anchor / anchors.length);
  const at = [Math.floor(place / (shape[1] * shape[2])), Math.floor(place / shape[2]) % shape[1], place % shape[2]];
  const half = anchors[inAnchors] as readonly [number, number, number];
  for (let axis = 0; axis < 3; axis++) {
    const from = shiftedBy[axis] as 0;
    const shift = (at[from] as number) * strides[from] + Math.floor(strides[from] / 2);
    const [low, high] = [f(shift - (half[axis] as number)), f(shift + (half[axis] as number))];
    const [center, size] = [f(low + high) / 2, f(high - low)];
    const code = (n: number): number =>
      f((regression.data[(inAnchors * 6 + n) * places + place] as number) / f(weights[n] as number));
    const moved = f(f(code(axis) * size) + center);
    const grown = f(f(Math.exp(Math.min(code(axis + 3), f(clip)))) * size);
    box[axis] = moved - f(0.5 * grown);
    box[axis + 3] = moved + f(0.5 * grown);
  }
}
