import { EndpointError } from '../../errors.ts';
import { DicomDataset } from './dataset.ts';
import { writePart10 } from './part10-writer.ts';
import { copyPatientAndStudy } from './patient-study-modules.ts';
import { asLo, type Equipment, type ModelProvenance, setEquipment, setModelProvenance } from './provenance-modules.ts';
import { packBinaryFrames, type SegmentationGrid } from './seg/binary-frames.ts';
import {
  perFrameGroups,
  type SourceSliceReference,
  setDimensions,
  setReferencedSeries,
  sharedGroups,
} from './seg/functional-groups.ts';
import { type SegmentDescription, segmentItem } from './seg/segment-description.ts';
import { type SlicePlane, slicePlane } from './slice-plane.ts';
import { tags } from './tags.ts';
import { transferSyntax } from './transfer-syntax.ts';
import { unprocessable } from './unprocessable.ts';

/** UIDs of the new object, derived by the caller so that a retry gives the same ones. */
export interface SegmentationUids {
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly dimensionOrganizationUid: string;
}

export interface SegmentationInput {
  /** Slices of the source in the order of the grid's k: all of one study, frame of reference, size and orientation. */
  readonly sources: readonly SourceSliceReference[];
  readonly columns: number;
  readonly rows: number;
  /** On the source's own grid, `[columns, rows, slices]`, column index fastest. */
  readonly grid: SegmentationGrid;
  readonly segments: readonly SegmentDescription[];
  readonly uids: SegmentationUids;
  readonly seriesDescription: string;
  readonly seriesNumber: number;
  /** When the result was made: `YYYYMMDD` and `HHMMSS`. */
  readonly contentDate: string;
  readonly contentTime: string;
  readonly equipment: Equipment;
  readonly model: ModelProvenance;
}

export interface WrittenSegmentation {
  readonly bytes: Uint8Array;
  readonly sopInstanceUid: string;
  readonly numberOfFrames: number;
  /** Segments without a single voxel, by number: they are described, but have no frame. Worth a warning. */
  readonly emptySegments: readonly number[];
}

const SEGMENTATION_STORAGE = '1.2.840.10008.5.1.4.1.1.66.4';

/** The planes of the sources, which must be parallel and of one frame of reference to share a grid. */
function sharedGridPlanes(sources: readonly SourceSliceReference[]): [SlicePlane, ...SlicePlane[]] {
  const planes = sources.map(({ attributes, frameNumber }) => slicePlane(attributes, frameNumber));
  const [first, ...rest] = planes;
  if (!first) throw new EndpointError('internal', 'A segmentation needs source slices.');
  const close = (a: readonly string[], b: readonly string[]) =>
    a.every((value, at) => Math.abs(Number(value) - Number(b[at])) < 1e-3);
  if (
    !rest.every((plane) => close(plane.orientation, first.orientation) && close(plane.pixelSpacing, first.pixelSpacing))
  ) {
    throw unprocessable('The source slices differ in orientation or spacing: they share no grid.');
  }
  common(sources, tags.FrameOfReferenceUID, 'FrameOfReferenceUID');
  common(sources, tags.StudyInstanceUID, 'StudyInstanceUID');
  for (const { attributes } of sources) {
    const references = [tags.SOPClassUID, tags.SOPInstanceUID, tags.SeriesInstanceUID];
    if (references.some((tag) => attributes.string(tag) === undefined)) {
      throw unprocessable(
        'A source slice lacks a UID that a DICOM result must refer to (SOP class, instance or series).',
      );
    }
  }
  return [first, ...rest];
}

/** All slices must name the same one: a result belongs to one study and one frame of reference. */
function common(sources: readonly SourceSliceReference[], tag: number, name: string): void {
  const uids = new Set(sources.map(({ attributes }) => attributes.string(tag)));
  if (uids.size !== 1 || uids.has(undefined)) {
    throw unprocessable(`The source slices have no common ${name}, which a DICOM result needs.`);
  }
}

function copyLossyCompression(source: DicomDataset, target: DicomDataset): void {
  const isLossy = source.string(tags.LossyImageCompression) === '01';
  target.set(tags.LossyImageCompression, 'CS', isLossy ? '01' : '00');
  if (!isLossy) return;
  for (const tag of [tags.LossyImageCompressionRatio, tags.LossyImageCompressionMethod]) {
    const element = source.get(tag);
    if (element) target.set(tag, element.vr, ...element.values);
  }
}

function segmentationDataset(input: SegmentationInput, first: DicomDataset): DicomDataset {
  const { contentDate, contentTime, uids } = input;
  const target = new DicomDataset();
  copyPatientAndStudy(first, target);
  copyLossyCompression(first, target);
  setEquipment(target, input.equipment);
  setModelProvenance(target, input.model, `${contentDate}${contentTime}`);
  setDimensions(target, uids.dimensionOrganizationUid);
  setReferencedSeries(target, input.sources);
  return target
    .set(tags.ImageType, 'CS', 'DERIVED', 'PRIMARY')
    .set(tags.InstanceCreationDate, 'DA', contentDate)
    .set(tags.InstanceCreationTime, 'TM', contentTime)
    .set(tags.SeriesDate, 'DA', contentDate)
    .set(tags.SeriesTime, 'TM', contentTime)
    .set(tags.ContentDate, 'DA', contentDate)
    .set(tags.ContentTime, 'TM', contentTime)
    .set(tags.Modality, 'CS', 'SEG')
    .set(tags.SeriesInstanceUID, 'UI', uids.seriesInstanceUid)
    .set(tags.SeriesNumber, 'IS', String(input.seriesNumber))
    .set(tags.SeriesDescription, 'LO', asLo(input.seriesDescription))
    .set(tags.InstanceNumber, 'IS', '1')
    .set(tags.FrameOfReferenceUID, 'UI', first.string(tags.FrameOfReferenceUID) as string)
    .set(tags.PositionReferenceIndicator, 'LO', first.string(tags.PositionReferenceIndicator) ?? '')
    .set(tags.ContentLabel, 'CS', 'SEGMENTATION')
    .set(tags.ContentDescription, 'LO', asLo(input.seriesDescription))
    .set(tags.ContentCreatorName, 'PN')
    .set(tags.SamplesPerPixel, 'US', 1)
    .set(tags.PhotometricInterpretation, 'CS', 'MONOCHROME2')
    .set(tags.Rows, 'US', input.rows)
    .set(tags.Columns, 'US', input.columns)
    .set(tags.BitsAllocated, 'US', 1)
    .set(tags.BitsStored, 'US', 1)
    .set(tags.HighBit, 'US', 0)
    .set(tags.PixelRepresentation, 'US', 0)
    .set(tags.SegmentationType, 'CS', 'BINARY')
    .set(tags.SegmentsOverlap, 'CS', input.grid.kind === 'labels' ? 'NO' : 'UNDEFINED')
    .set(tags.SegmentSequence, 'SQ', ...input.segments.map((segment, index) => segmentItem(segment, index + 1)));
}

/**
 * Writes a segmentation as a DICOM SEG of type BINARY (PS3.3 A.51, C.8.20), placed on the slices of its source:
 * patient, study and frame of reference are theirs, positions, orientation and spacing digit for digit.
 *
 * A result without a voxel is a valid object all the same (viewers open it and list its segments), with one empty
 * frame; `emptySegments` tells.
 *
 * @throws EndpointError `unprocessable_image` for sources that share no grid, study or frame of reference,
 *   `unsupported_bundle` for a label without a segment, `internal` for a grid of another size
 */
export function writeSegmentation(input: SegmentationInput): WrittenSegmentation {
  const { sources, segments, uids } = input;
  if (segments.length === 0) throw new EndpointError('internal', 'A segmentation needs segments.');
  const planes = sharedGridPlanes(sources);
  const shape = [input.columns, input.rows, sources.length] as const;
  const { frames, bits, present } = packBinaryFrames(
    input.grid,
    shape,
    segments.map(({ value }) => value),
  );
  const isOther = (source: SourceSliceReference) =>
    source.attributes.number(tags.Rows) !== input.rows || source.attributes.number(tags.Columns) !== input.columns;
  if (sources.some(isOther)) throw unprocessable('The source slices have another size than the segmentation.');
  const [{ attributes }] = sources as readonly [SourceSliceReference];
  const dataset = segmentationDataset(input, attributes)
    .set(tags.NumberOfFrames, 'IS', String(frames.length))
    .set(tags.SharedFunctionalGroupsSequence, 'SQ', sharedGroups(planes))
    .set(tags.PerFrameFunctionalGroupsSequence, 'SQ', ...perFrameGroups(frames, sources, planes));
  const bytes = writePart10(dataset, {
    sopClassUid: SEGMENTATION_STORAGE,
    sopInstanceUid: uids.sopInstanceUid,
    transferSyntaxUid: transferSyntax.explicitLittleEndian,
    pixelData: { bytes: bits, vr: 'OB' },
  });
  return {
    bytes,
    sopInstanceUid: uids.sopInstanceUid,
    numberOfFrames: frames.length,
    emptySegments: present.flatMap((hasVoxels, index) => (hasVoxels ? [] : [index + 1])),
  };
}
