import { type Affine, spacingMm } from '../../imaging/affine.ts';
import type { Shape3 } from '../../imaging/volume.ts';

/** A direction in a voxel grid: index axis (0, 1, 2 for i, j, k), run through upwards or downwards. */
export interface GridDirection {
  readonly axis: 0 | 1 | 2;
  readonly step: 1 | -1;
  readonly spacingMm: number;
  readonly size: number;
}

export type PlaneName = 'axial' | 'coronal' | 'sagittal';

/** How a plane is shown: what runs to the right, what runs down, and what the plane cuts. */
export interface PatientPlane {
  readonly name: PlaneName;
  readonly right: GridDirection;
  readonly down: GridDirection;
  readonly through: GridDirection;
  /** Letters at the left, right, top and bottom edge: R L A P H F. */
  readonly marks: readonly [left: string, right: string, top: string, bottom: string];
}

/** For each of R, A, S the index axis that runs closest to it, each index axis taken once, and its sense. */
function directionsOf(affine: Affine, shape: Shape3): [GridDirection, GridDirection, GridDirection] {
  const spacing = spacingMm(affine);
  const cosine = (world: number, axis: number) => (affine[world * 4 + axis] as number) / (spacing[axis] as number);
  const orders = [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ] as const;
  const closeness = (order: readonly number[]) =>
    order.reduce((sum, axis, world) => sum + Math.abs(cosine(world, axis)), 0);
  const best = orders.reduce((a, b) => (closeness(b) > closeness(a) ? b : a));
  return best.map((axis, world) => ({
    axis,
    step: cosine(world, axis) < 0 ? -1 : 1,
    spacingMm: spacing[axis] as number,
    size: shape[axis] as number,
  })) as [GridDirection, GridDirection, GridDirection];
}

const reversed = (direction: GridDirection): GridDirection => ({ ...direction, step: direction.step === 1 ? -1 : 1 });

/**
 * The three planes in radiological convention: the patient's right at the left of the picture, the nose up (axial), the
 * head up (coronal, sagittal), the face to the left (sagittal). Oblique grids are shown along their own axes, by the
 * patient axes that are nearest.
 */
export function patientPlanes(affineRas: Affine, shape: Shape3): readonly [PatientPlane, PatientPlane, PatientPlane] {
  const [toRight, toFront, toHead] = directionsOf(affineRas, shape);
  const toLeft = reversed(toRight);
  const toBack = reversed(toFront);
  const toFeet = reversed(toHead);
  return [
    { name: 'axial', right: toLeft, down: toBack, through: toHead, marks: ['R', 'L', 'A', 'P'] },
    { name: 'coronal', right: toLeft, down: toFeet, through: toFront, marks: ['R', 'L', 'H', 'F'] },
    { name: 'sagittal', right: toBack, down: toFeet, through: toRight, marks: ['A', 'P', 'H', 'F'] },
  ];
}
