import type { Affine } from '../../imaging/affine.ts';
import type { Volume } from '../../imaging/volume.ts';
import { blurRows } from './gaussian-blur.ts';
import { NoiseSource } from './noise-source.ts';
import type { PhantomDescription, PhantomSolid } from './phantom-description.ts';

/** The grid that a phantom is rendered on: axial slices, centred on the origin of the phantom. */
export interface PhantomGrid {
  readonly columns: number;
  readonly rows: number;
  readonly slices: number;
  readonly pixelSpacingMm: number;
  readonly sliceSpacingMm: number;
  /** z of the middle of the stack, LPS millimetres. */
  readonly centerZMm: number;
}

/** 512×512 at 0.75 mm, 80 slices 3 mm apart: kidneys to the lungs' bases, the whole spleen with room around it. */
export const demoGrid: PhantomGrid = {
  columns: 512,
  rows: 512,
  slices: 80,
  pixelSpacingMm: 0.75,
  sliceSpacingMm: 3,
  centerZMm: 10,
};

export interface RenderedPhantom {
  /** Hounsfield units. Rows run to the patient's left, columns to the back, slices to the head. */
  readonly image: Volume<Int16Array>;
  /** Labels of the solids that carry one, by the solid that was painted last. */
  readonly truth: Volume<Uint8Array>;
}

/**
 * Renders a phantom: solids sampled at voxel centres, blurred in the plane, then noise. Along z the blur of 0.8 mm would
 * be a quarter of a slice, which moves a 1,000 HU edge by less than 1 HU, so it is left out. The noise depends on
 * the slice's number alone: the same input gives the same bytes on every machine.
 */
export function renderPhantom(phantom: PhantomDescription, grid: PhantomGrid = demoGrid): RenderedPhantom {
  const { columns, rows, slices, pixelSpacingMm, sliceSpacingMm } = grid;
  const image = new Int16Array(columns * rows * slices);
  const truth = new Uint8Array(image.length);
  const originX = -((columns - 1) / 2) * pixelSpacingMm;
  const originY = -((rows - 1) / 2) * pixelSpacingMm;
  const originZ = grid.centerZMm - ((slices - 1) / 2) * sliceSpacingMm;
  const quadrics = phantom.solids.map(quadricOf);
  const plane = new Float32Array(columns * rows);
  const scratch = new Float32Array(columns * rows);
  const sigmaPixels = phantom.blur_sigma_mm / pixelSpacingMm;
  for (let slice = 0; slice < slices; slice++) {
    const z = originZ + slice * sliceSpacingMm;
    const labels = truth.subarray(slice * plane.length, (slice + 1) * plane.length);
    plane.fill(phantom.background_hu);
    for (const quadric of quadrics) {
      paintSlice(quadric, { plane, labels, columns, rows, originX, originY, z, pixelSpacingMm });
    }
    blurRows(plane, scratch, columns, rows, sigmaPixels);
    blurRows(scratch, plane, rows, columns, sigmaPixels);
    const noise = new NoiseSource(slice + 1);
    const target = image.subarray(slice * plane.length, (slice + 1) * plane.length);
    for (let n = 0; n < plane.length; n++) {
      const hu = (plane[n] as number) + phantom.noise_sigma_hu * noise.next();
      target[n] = Math.max(-1024, Math.min(3071, Math.round(hu)));
    }
  }
  const affineRas: Affine = [
    -pixelSpacingMm,
    0,
    0,
    -originX,
    0,
    -pixelSpacingMm,
    0,
    -originY,
    0,
    0,
    sliceSpacingMm,
    originZ,
    0,
    0,
    0,
    1,
  ];
  const shape = [columns, rows, slices] as const;
  return { image: { data: image, shape, affineRas }, truth: { data: truth, shape, affineRas } };
}

/** A solid as |M·(p − centre)|² ≤ 1; of a cylinder M's last row is zero and z is bounded instead. */
interface Quadric {
  readonly solid: PhantomSolid;
  readonly m: readonly number[];
  readonly zHalfLength: number;
}

function quadricOf(solid: PhantomSolid): Quadric {
  const [aboutZ, aboutX] = solid.rotate.map((degrees) => (degrees * Math.PI) / 180) as [number, number];
  const [cz, sz, cx, sx] = [Math.cos(aboutZ), Math.sin(aboutZ), Math.cos(aboutX), Math.sin(aboutX)];
  // Rows of (Rx·Rz)ᵀ: they take a point of the patient into the solid's own axes.
  const axes = [
    [cz, cx * sz, sx * sz],
    [-sz, cx * cz, sx * cz],
    [0, -sx, cx],
  ];
  const isCylinder = solid.shape === 'cylinder';
  const m = axes.flatMap((axis, row) =>
    axis.map((value) => (isCylinder && row === 2 ? 0 : value / (solid.radii[row] as number))),
  );
  return { solid, m, zHalfLength: isCylinder ? solid.radii[2] : Number.POSITIVE_INFINITY };
}

interface SliceTarget {
  readonly plane: Float32Array;
  readonly labels: Uint8Array;
  readonly columns: number;
  readonly rows: number;
  readonly originX: number;
  readonly originY: number;
  readonly z: number;
  readonly pixelSpacingMm: number;
}

/** Paints a solid's cut with a slice: each row meets a convex solid in one span, whose ends solve a quadratic. */
function paintSlice({ solid, m, zHalfLength }: Quadric, target: SliceTarget): void {
  const dz = target.z - solid.center[2];
  if (Math.abs(dz) > zHalfLength) return;
  const [m0, m1, m2, m3, m4, m5, m6, m7, m8] = m as [
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
  const a = m0 * m0 + m3 * m3 + m6 * m6;
  for (let row = 0; row < target.rows; row++) {
    const dy = target.originY + row * target.pixelSpacingMm - solid.center[1];
    const [u, v, w] = [m1 * dy + m2 * dz, m4 * dy + m5 * dz, m7 * dy + m8 * dz];
    const half = m0 * u + m3 * v + m6 * w;
    const discriminant = half * half - a * (u * u + v * v + w * w - 1);
    if (discriminant < 0) continue;
    const root = Math.sqrt(discriminant);
    const offset = solid.center[0] - target.originX;
    const first = Math.max(0, Math.ceil((offset + (-half - root) / a) / target.pixelSpacingMm));
    const last = Math.min(target.columns - 1, Math.floor((offset + (-half + root) / a) / target.pixelSpacingMm));
    if (last < first) continue;
    const at = row * target.columns;
    target.plane.fill(solid.hu, at + first, at + last + 1);
    target.labels.fill(solid.label ?? 0, at + first, at + last + 1);
  }
}
