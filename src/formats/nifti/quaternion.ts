import { type Affine, spacingMm } from '../../imaging/affine.ts';

/** The qform of an affine: quaternion, voxel sizes, and the handedness factor. */
export interface Qform {
  readonly b: number;
  readonly c: number;
  readonly d: number;
  readonly spacingMm: readonly [number, number, number];
  readonly qfac: 1 | -1;
}

/**
 * Quaternion of a rotation matrix (row-major, determinant 1), the branch with the largest divisor (nifti1_io.c,
 * `nifti_mat44_to_quatern`, tells the convention: a ≥ 0 is implied and not stored).
 */
function quaternionOf(r: readonly number[]): [number, number, number] {
  const [r11, r12, r13, r21, r22, r23, r31, r32, r33] = r as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const squares = [1 + r11 + r22 + r33, 1 + r11 - r22 - r33, 1 - r11 + r22 - r33, 1 - r11 - r22 + r33];
  const largest = squares.indexOf(Math.max(...squares));
  const twice = Math.sqrt(squares[largest] as number);
  const scaled: [number, number, number, number][] = [
    [twice * twice, r32 - r23, r13 - r31, r21 - r12],
    [r32 - r23, twice * twice, r12 + r21, r13 + r31],
    [r13 - r31, r12 + r21, twice * twice, r23 + r32],
    [r21 - r12, r13 + r31, r23 + r32, twice * twice],
  ];
  const [a, b, c, d] = (scaled[largest] as [number, number, number, number]).map((part) => part / (2 * twice)) as [
    number,
    number,
    number,
    number,
  ];
  return a < 0 ? [-b, -c, -d] : [b, c, d];
}

/** The qform of an affine; undefined when its axes are not at right angles (a qform can't say that). */
export function qformOfAffine(affine: Affine): Qform | undefined {
  const spacing = spacingMm(affine);
  const column = (axis: number) => [0, 4, 8].map((row) => (affine[row + axis] as number) / (spacing[axis] as number));
  const [x, y, z] = [column(0), column(1), column(2)] as [number[], number[], number[]];
  const dot = (a: number[], b: number[]) => a.reduce((sum, value, axis) => sum + value * (b[axis] as number), 0);
  if (Math.max(Math.abs(dot(x, y)), Math.abs(dot(x, z)), Math.abs(dot(y, z))) > 1e-4) return undefined;
  const [x0, x1, x2] = x as [number, number, number];
  const [y0, y1, y2] = y as [number, number, number];
  const cross = [x1 * y2 - x2 * y1, x2 * y0 - x0 * y2, x0 * y1 - x1 * y0];
  const qfac = dot(cross, z) < 0 ? -1 : 1;
  const third = z.map((value) => value * qfac) as [number, number, number];
  const [b, c, d] = quaternionOf([x0, y0, third[0], x1, y1, third[1], x2, y2, third[2]]);
  return { b, c, d, spacingMm: spacing, qfac };
}
