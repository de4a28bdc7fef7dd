import { roundHalfToEven } from '../../compute/kernels/axis-samples.ts';
import { type Affine, transformPoint } from '../../imaging/affine.ts';
import type { Shape3 } from '../../imaging/volume.ts';

type Triple = readonly [number, number, number];

/**
 * Solves `a · x = b` by elimination with partial pivoting (LAPACK `gesv`, as numpy). Pivots divide by their reciprocals, as
 * OpenBLAS does it: on grids without a turn the solution has the very bits of numpy's, which decide where positions halfway
 * between two voxels go. Throws when a is singular.
 */
export function solveAffine(a: Affine, b: Affine): Affine {
  const left = [0, 1, 2, 3].map((row) => a.slice(row * 4, row * 4 + 4));
  const right = [0, 1, 2, 3].map((row) => b.slice(row * 4, row * 4 + 4));
  const at = (matrix: number[][], row: number, column: number): number => (matrix[row] as number[])[column] as number;
  for (let n = 0; n < 4; n++) {
    let pivot = n;
    for (let row = n + 1; row < 4; row++) if (Math.abs(at(left, row, n)) > Math.abs(at(left, pivot, n))) pivot = row;
    if (!(Math.abs(at(left, pivot, n)) > 0)) throw new RangeError('The affine matrix is singular.');
    for (const matrix of [left, right]) {
      [matrix[n], matrix[pivot]] = [matrix[pivot] as number[], matrix[n] as number[]];
    }
    const reciprocal = 1 / at(left, n, n);
    for (let row = n + 1; row < 4; row++) {
      const factor = at(left, row, n) * reciprocal;
      for (const matrix of [left, right]) {
        for (let column = 0; column < 4; column++)
          (matrix[row] as number[])[column] = at(matrix, row, column) - factor * at(matrix, n, column);
      }
    }
  }
  for (let n = 3; n >= 0; n--) {
    const reciprocal = 1 / at(left, n, n);
    for (let column = 0; column < 4; column++) {
      let sum = at(right, n, column);
      for (let row = n + 1; row < 4; row++) sum -= at(left, n, row) * at(right, row, column);
      (right[n] as number[])[column] = sum * reciprocal;
    }
  }
  return right.flat() as unknown as Affine;
}

/**
 * Rotation of an affine with new voxel sizes, without shear and without translation (MONAI `zoom_affine`, by the same
 * Cholesky factor and in the same order of operations, so that positions halfway between voxels round alike).
 */
export function zoomAffine(affine: Affine, scale: Triple, diagonal: boolean): Affine {
  if (diagonal) return [scale[0], 0, 0, 0, 0, scale[1], 0, 0, 0, 0, scale[2], 0, 0, 0, 0, 1];
  const columns = [0, 1, 2].map((n): Triple => [affine[n as 0], affine[(n + 4) as 4], affine[(n + 8) as 8]]);
  const gram = (row: number, column: number): number => dot(columns[row] as Triple, columns[column] as Triple);
  const z00 = Math.sqrt(gram(0, 0));
  const z01 = gram(1, 0) / z00;
  const z02 = gram(2, 0) / z00;
  const z11 = Math.sqrt(gram(1, 1) - z01 * z01);
  const z12 = (gram(2, 1) - z02 * z01) / z11;
  const z22 = Math.sqrt(gram(2, 2) - z02 * z02 - z12 * z12);
  if (!(z00 > 0 && z11 > 0 && z22 > 0)) throw new RangeError('The affine matrix is singular.');
  const [i00, i11, i22] = [1 / z00, 1 / z11, 1 / z22];
  const i01 = (-z01 * i11) / z00;
  const i12 = (-z12 * i22) / z11;
  const i02 = (-z01 * i12 - z02 * i22) / z00;
  const out = new Array<number>(16).fill(0);
  out[15] = 1;
  for (let row = 0; row < 3; row++) {
    const [a, b, c] = columns.map((column) => column[row]) as [number, number, number];
    out[row * 4] = a * i00 * scale[0];
    out[row * 4 + 1] = (a * i01 + b * i11) * scale[1];
    out[row * 4 + 2] = (a * i02 + b * i12 + c * i22) * scale[2];
  }
  return out as unknown as Affine;
}

const dot = (a: Triple, b: Triple): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

/**
 * Shape and origin of a grid with the axes of `target` that covers an image (MONAI `compute_shape_offset`).
 *
 * @param scaleExtent - cover the voxels' full extent; false: their centres
 */
export function shapeAndOffset(
  shape: Shape3,
  affine: Affine,
  target: Affine,
  scaleExtent: boolean,
): { shape: [number, number, number]; offset: [number, number, number] } {
  const ends = shape.map((size) => (scaleExtent ? [-0.5, size - 0.5] : [0, size - 1])) as [
    number[],
    number[],
    number[],
  ];
  const corners = ends[0].flatMap((x) => ends[1].flatMap((y) => ends[2].map((z): Triple => [x, y, z] as Triple)));
  const toTarget = solveAffine(target, affine);
  const inTarget = corners.map((corner) => transformPoint(toTarget, corner));
  const range = [0, 1, 2].map((axis) => {
    const values = inTarget.map((point) => point[axis] as number);
    return Math.max(...values) - Math.min(...values);
  });
  const outShape = range.map((extent) => roundHalfToEven(scaleExtent ? extent : extent + 1)) as [
    number,
    number,
    number,
  ];
  const first = inTarget.findIndex((corner) =>
    [0, 1, 2].every((axis) => {
      const nearest = Math.min(...inTarget.map((point) => (point[axis] as number) - (corner[axis] as number)));
      return Math.abs(nearest) <= 1e-8;
    }),
  );
  let offset =
    first >= 0 ? transformPoint(affine, corners[first] as Triple) : centredOffset(shape, affine, outShape, target);
  if (scaleExtent) {
    const centre = shape.map((size, axis) => 0.5 * (size / (outShape[axis] as number) - 1)) as unknown as Triple;
    const moved = transformPoint(affine, centre);
    offset = offset.map((value, axis) => Math.abs(moved[axis] as number) * Math.sign(value)) as typeof offset;
  }
  return { shape: outShape, offset };
}

/** Both centres in one place, for axes that don't start in a corner. */
function centredOffset(shape: Shape3, affine: Affine, outShape: Shape3, target: Affine): [number, number, number] {
  const half = (of: Shape3): Triple => [of[0] / 2, of[1] / 2, of[2] / 2];
  const centre = transformPoint(affine, half(shape));
  const back = transformPoint(target, half(outShape));
  return centre.map((value, axis) => value - (back[axis] as number)) as [number, number, number];
}

/** numpy `allclose` of two affines. */
export function affinesClose(a: Affine, b: Affine, tolerance: number): boolean {
  return a.every((value, n) => Math.abs(value - b[n as 0]) <= tolerance + 1e-5 * Math.abs(b[n as 0]));
}
