import { EndpointError } from '../errors.ts';
import { invertAffine, multiplyAffines } from '../imaging/affine.ts';
import type { Volume } from '../imaging/volume.ts';

/** How one label of a result lies to the expected one. */
export interface LabelAgreement {
  readonly value: number;
  readonly voxels: number;
  readonly expectedVoxels: number;
  readonly dice: number;
}

/** How a label map lies to the expected one. */
export interface Agreement {
  readonly labels: readonly LabelAgreement[];
  /** Voxels with another label, and all. */
  readonly differing: number;
  readonly voxels: number;
}

/** How far a voxel's centre may lie from the other grid's, in voxels. */
const offGrid = 0.01;

/**
 * Compares two label maps voxel by voxel in patient space: the axes of one may run along others of the other.
 *
 * @throws EndpointError `invalid_request` when the grids do not lie on each other
 */
export function agreementOf(result: Volume, expected: Volume): Agreement {
  const m = multiplyAffines(invertAffine(expected.affineRas), result.affineRas);
  const [nx, ny, nz] = result.shape;
  const [ex, ey, ez] = expected.shape;
  const counts = new Map<number, { ours: number; theirs: number; both: number }>();
  const countOf = (value: number): { ours: number; theirs: number; both: number } => {
    const count = counts.get(value) ?? { ours: 0, theirs: 0, both: 0 };
    counts.set(value, count);
    return count;
  };
  if (nx * ny * nz !== ex * ey * ez) throw otherGrid();
  let differing = 0;
  for (let k = 0, n = 0; k < nz; k++) {
    for (let j = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++, n++) {
        const [fx, fy, fz] = [
          m[0] * i + m[1] * j + m[2] * k + m[3],
          m[4] * i + m[5] * j + m[6] * k + m[7],
          m[8] * i + m[9] * j + m[10] * k + m[11],
        ];
        const [x, y, z] = [Math.round(fx), Math.round(fy), Math.round(fz)];
        const isOff = Math.abs(fx - x) > offGrid || Math.abs(fy - y) > offGrid || Math.abs(fz - z) > offGrid;
        if (isOff || x < 0 || y < 0 || z < 0 || x >= ex || y >= ey || z >= ez) throw otherGrid();
        const a = result.data[n] as number;
        const b = expected.data[x + ex * (y + ey * z)] as number;
        if (a !== b) differing++;
        if (a !== 0) countOf(a).ours++;
        if (b !== 0) countOf(b).theirs++;
        if (a !== 0 && a === b) countOf(a).both++;
      }
    }
  }
  const labels = [...counts]
    .sort(([a], [b]) => a - b)
    .map(([value, { ours, theirs, both }]) => ({
      value,
      voxels: ours,
      expectedVoxels: theirs,
      dice: (2 * both) / (ours + theirs),
    }));
  return { labels, differing, voxels: nx * ny * nz };
}

const otherGrid = (): EndpointError =>
  new EndpointError(
    'invalid_request',
    'The expected label map lies on another grid than the image: it must have the voxels of the image, in any axis order.',
  );
