import { type Affine, invertAffine, multiplyAffines, transformPoint } from '../../imaging/affine.ts';
import { type Shape3, type VoxelArray, voxelCount } from '../../imaging/volume.ts';

/** A grid in patient space. */
export interface Grid {
  readonly shape: Shape3;
  readonly affineRas: Affine;
}

/** True when both grids put every voxel in the same place, within a hundredth of a voxel. */
export function isSameGrid(a: Grid, b: Grid): boolean {
  if (a.shape.some((size, axis) => size !== b.shape[axis])) return false;
  const between = multiplyAffines(invertAffine(a.affineRas), b.affineRas);
  return corners(a.shape).every((corner) =>
    transformPoint(between, corner).every((value, axis) => Math.abs(value - (corner[axis] as number)) < 0.01),
  );
}

function corners([nx, ny, nz]: Shape3): [number, number, number][] {
  const ends = (size: number) => [0, size - 1];
  return ends(nx).flatMap((i) => ends(ny).flatMap((j) => ends(nz).map((k): [number, number, number] => [i, j, k])));
}

/** Values of one grid at the voxel centres of another, by nearest neighbour; 0 outside. */
export function resampleNearest<T extends VoxelArray>(values: T, from: Grid, to: Grid, into: T): T {
  const [nx, ny, nz] = from.shape;
  const [mx, my, mz] = to.shape;
  if (values.length !== voxelCount(from.shape) || into.length !== voxelCount(to.shape)) {
    throw new RangeError('The arrays do not fill their grids.');
  }
  const m = multiplyAffines(invertAffine(from.affineRas), to.affineRas);
  let at = 0;
  for (let k = 0; k < mz; k++) {
    for (let j = 0; j < my; j++) {
      const [x0, y0, z0] = transformPoint(m, [0, j, k]);
      for (let i = 0; i < mx; i++, at++) {
        const x = Math.round(x0 + i * m[0]);
        const y = Math.round(y0 + i * m[4]);
        const z = Math.round(z0 + i * m[8]);
        const isInside = x >= 0 && y >= 0 && z >= 0 && x < nx && y < ny && z < nz;
        into[at] = isInside ? (values[x + nx * (y + ny * z)] as number) : 0;
      }
    }
  }
  return into;
}
