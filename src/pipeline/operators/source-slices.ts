import type { SourceInstance, SourceSeries } from '../../connectors/image-source.ts';
import { EndpointError } from '../../errors.ts';
import type { DicomDataset, Tag } from '../../formats/dicom/dataset.ts';
import { tags } from '../../formats/dicom/dictionary.ts';

export type Vector = readonly [number, number, number];

/** One slice of a series: a single-frame instance, or a frame of a multi-frame one. Lengths in mm, frame of DICOM (LPS). */
export interface SourceSlice {
  readonly instance: SourceInstance;
  readonly sopInstanceUid: string;
  /** 0-based. */
  readonly frameIndex: number;
  readonly positionLps: Vector;
  /** Direction of growing column index (first three cosines of ImageOrientationPatient). */
  readonly rowCosines: Vector;
  /** Direction of growing row index. */
  readonly columnCosines: Vector;
  /** Distance of neighbours in a row (second value of PixelSpacing). */
  readonly columnSpacingMm: number;
  /** Distance of neighbours in a column (first value of PixelSpacing). */
  readonly rowSpacingMm: number;
  readonly thicknessMm: number | undefined;
  readonly slope: number;
  readonly intercept: number;
  readonly rescaleType: string | undefined;
  /** Modality LUT instead of slope and intercept (PS3.3 C.11.1). */
  readonly modalityLut: DicomDataset | undefined;
}

/**
 * Lists the slices of a series with their geometry: from the instances themselves, or from the functional groups of
 * enhanced multi-frame objects (PS3.3 C.7.6.16).
 *
 * @throws EndpointError `unprocessable_image` for an instance without pixels, geometry or usable numbers
 */
export function listSlices(series: SourceSeries): SourceSlice[] {
  return series.instances.flatMap((instance) => {
    const { attributes, numberOfFrames } = instance;
    const declared = attributes.number(tags.NumberOfFrames) ?? 1;
    const uid = attributes.string(tags.SOPInstanceUID) ?? 'without SOPInstanceUID';
    if (numberOfFrames === 0) throw bad(uid, 'has no pixel data');
    if (declared !== numberOfFrames) throw bad(uid, `declares ${declared} frames, ${numberOfFrames} are there`);
    const [shared] = attributes.items(tags.SharedFunctionalGroupsSequence);
    const perFrame = attributes.items(tags.PerFrameFunctionalGroupsSequence);
    const isEnhanced = shared !== undefined || perFrame.length > 0;
    if (numberOfFrames > 1 && !isEnhanced)
      throw bad(uid, 'has several frames but no functional groups that place them');
    if (isEnhanced && perFrame.length !== numberOfFrames) throw bad(uid, 'has not one functional group item a frame');
    return Array.from({ length: numberOfFrames }, (_, frameIndex) =>
      readSlice(
        instance,
        uid,
        frameIndex,
        isEnhanced ? groupsOf(attributes, shared, perFrame[frameIndex]) : () => attributes,
      ),
    );
  });
}

/** Finds the data set that holds a group's attributes. */
type GroupLookup = (group: Tag) => DicomDataset;

function groupsOf(top: DicomDataset, shared: DicomDataset | undefined, own: DicomDataset | undefined): GroupLookup {
  return (group) => own?.items(group)[0] ?? shared?.items(group)[0] ?? top;
}

function readSlice(instance: SourceInstance, uid: string, frameIndex: number, group: GroupLookup): SourceSlice {
  const { attributes } = instance;
  const where = instance.numberOfFrames > 1 ? `${uid} frame ${frameIndex + 1}` : uid;
  const position = group(tags.PlanePositionSequence).numbers(tags.ImagePositionPatient);
  if (position?.length !== 3) throw bad(where, 'has no ImagePositionPatient, so it has no place in space');
  const cosines = group(tags.PlaneOrientationSequence).numbers(tags.ImageOrientationPatient);
  if (cosines?.length !== 6) throw bad(where, 'has no ImageOrientationPatient');
  const measures = group(tags.PixelMeasuresSequence);
  const spacing = measures.numbers(tags.PixelSpacing);
  if (spacing?.length !== 2 || !spacing.every((value) => value > 0)) throw bad(where, 'has no usable PixelSpacing');
  const rowCosines = cosines.slice(0, 3) as unknown as Vector;
  const columnCosines = cosines.slice(3) as unknown as Vector;
  const isOrthonormal =
    Math.abs(norm(rowCosines) - 1) < 1e-3 &&
    Math.abs(norm(columnCosines) - 1) < 1e-3 &&
    Math.abs(dot(rowCosines, columnCosines)) < 1e-3;
  if (!isOrthonormal)
    throw bad(where, 'has an ImageOrientationPatient whose axes are not of length one at right angles');
  const transformation = group(tags.PixelValueTransformationSequence);
  const slope = transformation.number(tags.RescaleSlope) ?? 1;
  if (slope === 0) throw bad(where, 'has RescaleSlope 0');
  const thickness = measures.number(tags.SliceThickness);
  return {
    instance,
    sopInstanceUid: uid,
    frameIndex,
    positionLps: position as unknown as Vector,
    rowCosines,
    columnCosines,
    rowSpacingMm: spacing[0] as number,
    columnSpacingMm: spacing[1] as number,
    thicknessMm: thickness !== undefined && thickness > 0 ? thickness : undefined,
    slope,
    intercept: transformation.number(tags.RescaleIntercept) ?? 0,
    rescaleType: transformation.string(tags.RescaleType),
    modalityLut: attributes.items(tags.ModalityLUTSequence)[0],
  };
}

export const dot = (a: Vector, b: Vector): number => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const norm = (a: Vector): number => Math.hypot(...a);
export const cross = (a: Vector, b: Vector): Vector => [
  a[1] * b[2] - a[2] * b[1],
  a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0],
];

function bad(where: string, what: string): EndpointError {
  return new EndpointError('unprocessable_image', `Instance ${where} ${what}.`);
}
