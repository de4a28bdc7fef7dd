import type { Affine } from './affine.ts';
import type { Axis, AxisSource } from './strided-image.ts';
import type { Shape3 } from './volume.ts';

/** For each index axis: the patient axis that it runs along most, and whether with it (+1) or against it (-1). */
export type Orientation = readonly [AxisDirection, AxisDirection, AxisDirection];

export interface AxisDirection {
  readonly axis: Axis;
  readonly sign: 1 | -1;
}

/**
 * Orientation of an affine's axes in patient space (nibabel `io_orientation`): the nearest shearless rotation decides,
 * the strongest axis first, so that no patient axis is taken twice.
 *
 * @throws RangeError when an axis has no direction of its own (a singular affine)
 */
export function orientationOf(affine: Affine): Orientation {
  const rotation = nearestRotation(affine);
  const at = (row: number, column: number): number => rotation[row * 3 + column] as number;
  // The axis whose largest component is largest goes first; stable on ties.
  const strongest = (column: number): number => Math.max(...[0, 1, 2].map((row) => at(row, column) ** 2));
  const order = ([0, 1, 2] as const).toSorted((a, b) => strongest(b) - strongest(a));
  const found = new Map<Axis, AxisDirection>();
  const free = new Set<Axis>([0, 1, 2]);
  for (const column of order) {
    let best: Axis | undefined;
    for (const row of free)
      if (best === undefined || Math.abs(at(row, column)) > Math.abs(at(best, column))) best = row;
    if (best === undefined || Math.abs(at(best, column)) < 1e-8)
      throw new RangeError('The affine matrix has an axis without a direction.');
    free.delete(best);
    found.set(column, { axis: best, sign: at(best, column) < 0 ? -1 : 1 });
  }
  return [0, 1, 2].map((column) => found.get(column as Axis)) as unknown as Orientation;
}

/** Reads axis codes like `RAS` or `LIA` (towards Left/Right, Posterior/Anterior, Inferior/Superior). */
export function parseAxisCodes(codes: string): Orientation | undefined {
  const letters = [...codes].map((code): AxisDirection | undefined => {
    const axis = ['LR', 'PA', 'IS'].findIndex((pair) => pair.includes(code));
    return axis < 0 ? undefined : { axis: axis as Axis, sign: 'RAS'.includes(code) ? 1 : -1 };
  });
  const valid = letters.length === 3 && new Set(letters.map((letter) => letter?.axis)).size === 3;
  return valid && letters.every((letter) => letter !== undefined) ? (letters as unknown as Orientation) : undefined;
}

/** Axis moves that take an image from one orientation to another (nibabel `ornt_transform`). */
export function axisSources(from: Orientation, to: Orientation): [AxisSource, AxisSource, AxisSource] {
  return to.map((target) => {
    const axis = from.findIndex((source) => source.axis === target.axis) as Axis;
    return { axis, flip: from[axis]?.sign !== target.sign };
  }) as [AxisSource, AxisSource, AxisSource];
}

/** Maps voxel indices after the axis moves to those before (nibabel `inv_ornt_aff`), for an image of `shape` before. */
export function reorientationAffine(sources: readonly AxisSource[], shape: Shape3): Affine {
  const out = new Array<number>(16).fill(0);
  out[15] = 1;
  sources.forEach(({ axis, flip }, n) => {
    out[axis * 4 + n] = flip ? -1 : 1;
    if (flip) out[axis * 4 + 3] = shape[axis] - 1;
  });
  return out as unknown as Affine;
}

/** Orthogonal polar factor of the affine's 3×3 part with unit columns: Newton's iteration, quadratic convergence. */
function nearestRotation(m: Affine): number[] {
  const norms = [0, 1, 2].map((column) => Math.hypot(...[0, 4, 8].map((row) => m[(row + column) as 0])) || 1);
  let r = [0, 1, 2].flatMap((row) => [0, 1, 2].map((column) => m[(row * 4 + column) as 0] / (norms[column] as number)));
  for (let round = 0; round < 60; round++) {
    const inverse = inverseTransposed(r);
    const next = r.map((value, n) => (value + (inverse[n] as number)) / 2);
    const change = Math.max(...next.map((value, n) => Math.abs(value - (r[n] as number))));
    r = next;
    if (change < 1e-14) break;
  }
  return r;
}

function inverseTransposed(m: readonly number[]): number[] {
  const [a, b, c, d, e, f, g, h, i] = m as [number, number, number, number, number, number, number, number, number];
  const cofactors = [
    e * i - f * h,
    f * g - d * i,
    d * h - e * g,
    c * h - b * i,
    a * i - c * g,
    b * g - a * h,
    b * f - c * e,
    c * d - a * f,
    a * e - b * d,
  ];
  const det = a * (cofactors[0] as number) + b * (cofactors[1] as number) + c * (cofactors[2] as number);
  if (!Number.isFinite(det) || Math.abs(det) < 1e-12) throw new RangeError('The affine matrix is singular.');
  return cofactors.map((value) => value / det);
}
