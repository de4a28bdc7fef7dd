import type { VoxelArray } from '../../../src/imaging/volume.ts';
import type { JudgedArray } from './judge.ts';

/** An array of ours, to be held against MONAI's. */
export interface OurArray {
  readonly channels: readonly (VoxelArray | readonly number[])[];
  readonly shape: readonly number[];
  readonly affine: ArrayLike<number> | undefined;
}

/** How far two arrays of numbers lie apart. */
export interface Distance {
  /** What of shape or affine differs; then the values are not compared. */
  readonly mismatch?: string;
  readonly worst: number;
  /** Part of the values that differ by more than 1e-4. */
  readonly beyond: number;
}

/** How far two label maps, or sets of masks, lie apart. */
export interface LabelDistance {
  readonly mismatch?: string;
  /** Part of the voxels with the same label in every channel. */
  readonly equal: number;
  readonly labels: number;
  /** Worst Dice of the labels of at least 2,000 voxels; undefined: there is none. */
  readonly worstDice: number | undefined;
  /** Most voxels that differ in a smaller label; undefined: there is none. */
  readonly worstSmall: number | undefined;
}

/** The figures that must hold (issue of the campaign). */
export const limits = {
  worst: 1e-3,
  beyond: 1e-3,
  dice: 0.999,
  bigVoxels: 2000,
  smallVoxels: 2,
  equal: 0.9995,
} as const;

/** Of the largest number of an affine: NIfTI keeps single precision, and ITK makes its affine from the quaternion. */
const affineTolerance = 2 ** -23;

/** Axes of MONAI's array in our three: a plane is one voxel thick. */
const axes = (shape: readonly number[]): readonly number[] => [...shape, 1, 1, 1].slice(0, 3);

function mismatchOf(ours: OurArray, theirs: JudgedArray): string | undefined {
  const [a, b] = [axes(ours.shape), axes(theirs.shape)];
  if (ours.channels.length !== theirs.channels.length)
    return `${ours.channels.length} channels instead of ${theirs.channels.length}`;
  if (a.join() !== b.join()) return `${a.join('×')} voxels instead of ${b.join('×')}`;
  const { affine } = theirs;
  if (!ours.affine || !affine) return undefined;
  const off = Math.max(...affine.map((value, n) => Math.abs(value - (ours.affine?.[n] as number))));
  const largest = Math.max(1, ...affine.map(Math.abs));
  return off <= affineTolerance * largest ? undefined : `affine off by ${off.toExponential(1)} mm`;
}

/** Distance of two images of intensities or probabilities. */
export function distanceOf(ours: OurArray, theirs: JudgedArray): Distance {
  const mismatch = mismatchOf(ours, theirs);
  let worst = 0;
  let beyond = 0;
  let count = 0;
  if (mismatch !== undefined) return { mismatch, worst: Number.NaN, beyond: Number.NaN };
  theirs.channels.forEach((expected, c) => {
    const values = ours.channels[c] as VoxelArray;
    count += expected.length;
    for (let i = 0; i < expected.length; i++) {
      const off = Math.abs((values[i] as number) - (expected[i] as number));
      // NaN on one side only is as wrong as can be.
      if (Number.isNaN(off)) {
        if (Number.isNaN(values[i]) && Number.isNaN(expected[i])) continue;
        worst = Number.POSITIVE_INFINITY;
        beyond++;
        continue;
      }
      if (off > worst) worst = off;
      if (off > 1e-4) beyond++;
    }
  });
  return { worst, beyond: beyond / count };
}

/** Distance of two label maps (one channel), or of two sets of masks, each a label of its own. */
export function labelDistanceOf(ours: OurArray, theirs: JudgedArray): LabelDistance {
  const mismatch = mismatchOf(ours, theirs);
  if (mismatch !== undefined) {
    return { mismatch, equal: Number.NaN, labels: 0, worstDice: undefined, worstSmall: undefined };
  }
  const counts = new Map<number, { ours: number; theirs: number; both: number }>();
  const countOf = (label: number): { ours: number; theirs: number; both: number } => {
    const count = counts.get(label) ?? { ours: 0, theirs: 0, both: 0 };
    counts.set(label, count);
    return count;
  };
  const voxels = theirs.channels[0]?.length ?? 0;
  const differs = new Uint8Array(voxels);
  theirs.channels.forEach((expected, c) => {
    const values = ours.channels[c] as VoxelArray;
    for (let i = 0; i < voxels; i++) {
      const [a, b] = [values[i] as number, expected[i] as number];
      if (a !== b) differs[i] = 1;
      if (a !== 0) countOf(a + c * 1e6).ours++;
      if (b !== 0) countOf(b + c * 1e6).theirs++;
      if (a !== 0 && a === b) countOf(a + c * 1e6).both++;
    }
  });
  let worstDice: number | undefined;
  let worstSmall: number | undefined;
  for (const { ours: a, theirs: b, both } of counts.values()) {
    if (Math.max(a, b) >= limits.bigVoxels) worstDice = Math.min(worstDice ?? 1, (2 * both) / (a + b));
    else worstSmall = Math.max(worstSmall ?? 0, a + b - 2 * both);
  }
  const different = differs.reduce((sum, flag) => sum + flag, 0);
  return { equal: 1 - different / voxels, labels: counts.size, worstDice, worstSmall };
}

/** True for whole numbers only: a label map, or masks. */
export const isLabels = ({ channels, shape }: JudgedArray): boolean =>
  shape.length > 0 && channels.every((channel) => channel.every((value) => Number.isInteger(value)));

/** Why a distance is too far; empty when it is not. */
export function faultsOf(distance: Distance): string[] {
  if (distance.mismatch !== undefined) return [distance.mismatch];
  return [
    ...(distance.worst <= limits.worst ? [] : [`differs by up to ${distance.worst.toExponential(1)}`]),
    ...(distance.beyond <= limits.beyond ? [] : [`${(100 * distance.beyond).toFixed(2)} % differ by over 1e-4`]),
  ];
}

export function labelFaultsOf(distance: LabelDistance): string[] {
  if (distance.mismatch !== undefined) return [distance.mismatch];
  const { equal, worstDice = 1, worstSmall = 0 } = distance;
  return [
    ...(equal >= limits.equal ? [] : [`only ${(100 * equal).toFixed(3)} % of the labels are equal`]),
    ...(worstDice >= limits.dice ? [] : [`Dice ${worstDice.toFixed(5)}`]),
    ...(worstSmall <= limits.smallVoxels ? [] : [`${worstSmall} voxels of a small label differ`]),
  ];
}
