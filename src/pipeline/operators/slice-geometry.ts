import { EndpointError } from '../../errors.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import { type Affine, flipLpsRas } from '../../imaging/affine.ts';
import { cross, dot, norm, type SourceSlice, type Vector } from './source-slices.ts';

/** Slices in order along their normal, and the grid that they form. */
export interface StackedSlices {
  /** `slices[k]` is the k-th plane of the grid. */
  readonly slices: readonly SourceSlice[];
  readonly affineRas: Affine;
  /** Angle between the normal and the line through the slices' corners (a tilted gantry); 0 for an upright stack. */
  readonly shearDegrees: number;
}

/** A gap may differ from the mean one by this part (design §4). */
const spacingTolerance = 0.01;
/** Two orientations are one when no cosine differs by more: DS text has rounded them. */
const cosineTolerance = 1e-4;
/** DS text rounds positions, in mm. */
const roundingMm = 0.01;

/**
 * Sorts the slices by position and checks that they are one regular grid: one orientation, size, frame of reference and
 * value unit; no missing or doubled slice; even gaps; all corners on one line. A stack that is sheared by a gantry tilt
 * gets the sheared affine, exactly.
 *
 * @throws EndpointError `unprocessable_image` with the reason
 */
export function stackSlices(given: readonly SourceSlice[]): StackedSlices {
  const [reference] = given;
  if (!reference) throw unfit('it has no slices');
  checkUniform(given, reference);
  const normal = cross(reference.rowCosines, reference.columnCosines);
  const slices = given
    .map((slice) => ({ slice, distance: dot(slice.positionLps, normal) }))
    .sort((a, b) => a.distance - b.distance);
  const distances = slices.map(({ distance }) => distance);
  checkGaps(distances);
  const ordered = slices.map(({ slice }) => slice);
  const step = ordered.length === 1 ? singleStep(reference, normal) : meanStep(ordered);
  checkLine(ordered, step);
  const origin = (ordered[0] as SourceSlice).positionLps;
  const along = scale(reference.rowCosines, reference.columnSpacingMm);
  const down = scale(reference.columnCosines, reference.rowSpacingMm);
  const affineLps: Affine = [
    ...[along[0], down[0], step[0], origin[0]],
    ...[along[1], down[1], step[1], origin[1]],
    ...[along[2], down[2], step[2], origin[2]],
    ...[0, 0, 0, 1],
  ] as unknown as Affine;
  const cosine = Math.min(1, dot(step, normal) / (norm(step) * norm(normal)));
  // Adding 0 turns -0 into 0.
  const affineRas = flipLpsRas(affineLps).map((value) => value + 0) as unknown as Affine;
  return { slices: ordered, affineRas, shearDegrees: (Math.acos(cosine) * 180) / Math.PI };
}

function checkUniform(slices: readonly SourceSlice[], reference: SourceSlice): void {
  const near = (a: Vector, b: Vector) =>
    a.every((value, index) => Math.abs(value - (b[index] as number)) <= cosineTolerance);
  const nearSpacing = (a: number, b: number) => Math.abs(a - b) <= 1e-4 * Math.max(a, b);
  const own = reference.instance.attributes;
  for (const slice of slices) {
    const { attributes } = slice.instance;
    const same = (tag: number) => attributes.string(tag) === own.string(tag);
    if (!near(slice.rowCosines, reference.rowCosines) || !near(slice.columnCosines, reference.columnCosines)) {
      throw unfit('its slices have different orientations (a localizer among them?)');
    }
    if (!same(tags.Rows) || !same(tags.Columns)) throw unfit('its slices have different sizes');
    if (
      !nearSpacing(slice.rowSpacingMm, reference.rowSpacingMm) ||
      !nearSpacing(slice.columnSpacingMm, reference.columnSpacingMm)
    ) {
      throw unfit('its slices have different PixelSpacing');
    }
    if (!same(tags.FrameOfReferenceUID)) throw unfit('its slices have different frames of reference');
    if (slice.rescaleType !== reference.rescaleType) throw unfit('its slices have different units (RescaleType)');
    if ((slice.modalityLut === undefined) !== (reference.modalityLut === undefined)) {
      throw unfit('only some of its slices have a modality LUT');
    }
  }
}

function checkGaps(distances: readonly number[]): void {
  if (distances.length < 2) return;
  const gaps = distances.slice(1).map((distance, index) => distance - (distances[index] as number));
  const doubled = gaps.findIndex((gap) => gap < roundingMm);
  if (doubled >= 0) {
    if (gaps.length > 1 && gaps.every((gap) => gap < roundingMm))
      throw unfit(
        `all ${distances.length} slices lie at one place: time points (2D+t), echoes or the like, which make no volume. Send one of them alone`,
      );
    throw unfit(
      `two slices lie at the same place (slices ${doubled + 1} and ${doubled + 2} by position): a doubled slice, or several time points or echoes`,
    );
  }
  const usual = [...gaps].sort((a, b) => a - b)[Math.floor((gaps.length - 1) / 2)] as number;
  for (const [index, gap] of gaps.entries()) {
    if (Math.abs(gap - usual) <= spacingTolerance * usual + roundingMm) continue;
    const times = Math.round(gap / usual);
    const isMissing = times >= 2 && Math.abs(gap - times * usual) <= times * (spacingTolerance * usual + roundingMm);
    const place = `between slices ${index + 1} and ${index + 2} by position`;
    throw unfit(
      isMissing
        ? `${times - 1} ${times === 2 ? 'slice is' : 'slices are'} missing ${place}`
        : `its slices are unevenly spaced: ${gap.toFixed(3)} mm ${place}, ${usual.toFixed(3)} mm elsewhere`,
    );
  }
}

/** All corners must lie where the affine puts them: a drift or a jump within the planes would displace the result. */
function checkLine(slices: readonly SourceSlice[], step: Vector): void {
  const [first] = slices as [SourceSlice];
  const tolerance = spacingTolerance * norm(step) + roundingMm;
  for (const [k, { positionLps }] of slices.entries()) {
    const off = positionLps.map(
      (value, axis) => value - (first.positionLps[axis] as number) - k * (step[axis] as number),
    );
    if (Math.hypot(...off) > tolerance) {
      throw unfit(`slice ${k + 1} by position lies beside the line through the others (uneven or shifted positions)`);
    }
  }
}

function meanStep(slices: readonly SourceSlice[]): Vector {
  const first = (slices[0] as SourceSlice).positionLps;
  const last = (slices.at(-1) as SourceSlice).positionLps;
  return last.map((value, axis) => (value - (first[axis] as number)) / (slices.length - 1)) as unknown as Vector;
}

/** The third axis of a single slice: along its normal, as thick as it says. */
function singleStep(slice: SourceSlice, normal: Vector): Vector {
  return scale(normal, (slice.thicknessMm ?? 1) / norm(normal));
}

const scale = (vector: Vector, factor: number): Vector => [vector[0] * factor, vector[1] * factor, vector[2] * factor];

function unfit(reason: string): EndpointError {
  return new EndpointError('unprocessable_image', `The series is no volume: ${reason}.`);
}
