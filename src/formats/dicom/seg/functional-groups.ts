import { codeItem } from '../code-item.ts';
import { DicomDataset } from '../dataset.ts';
import { formatDs } from '../decimal-string.ts';
import { planeDistanceMm, type SlicePlane } from '../slice-plane.ts';
import { tags } from '../tags.ts';
import type { SegmentFrame } from './binary-frames.ts';

/** A slice of the source: its instance, and its frame in it where the instance has several. */
export interface SourceSliceReference {
  /** Attributes of the instance. */
  readonly attributes: DicomDataset;
  /** 1-based number of the frame in a multi-frame instance; undefined for a single-frame one. */
  readonly frameNumber?: number | undefined;
}

/** Spacing of the stack: distance of its first two planes, else the thickness of the only one. */
function spacingBetweenSlices(planes: readonly SlicePlane[]): string | undefined {
  const [first, second] = planes;
  return first && second ? formatDs(planeDistanceMm(first, second)) : first?.sliceThickness;
}

/** Item of SharedFunctionalGroupsSequence: what all frames have in common (PS3.3 C.7.6.16.2.1, .4). */
export function sharedGroups(planes: readonly [SlicePlane, ...SlicePlane[]]): DicomDataset {
  const [first] = planes;
  const spacing = spacingBetweenSlices(planes);
  const measures = new DicomDataset()
    .set(tags.SliceThickness, 'DS', first.sliceThickness ?? spacing ?? '1')
    .set(tags.PixelSpacing, 'DS', ...first.pixelSpacing);
  if (spacing !== undefined) measures.set(tags.SpacingBetweenSlices, 'DS', spacing);
  const orientation = new DicomDataset().set(tags.ImageOrientationPatient, 'DS', ...first.orientation);
  return new DicomDataset()
    .set(tags.PlaneOrientationSequence, 'SQ', orientation)
    .set(tags.PixelMeasuresSequence, 'SQ', measures);
}

function derivationItem(source: SourceSliceReference): DicomDataset {
  const image = new DicomDataset()
    .set(tags.ReferencedSOPClassUID, 'UI', source.attributes.string(tags.SOPClassUID) ?? '')
    .set(tags.ReferencedSOPInstanceUID, 'UI', source.attributes.string(tags.SOPInstanceUID) ?? '')
    .set(tags.SpatialLocationsPreserved, 'CS', 'YES')
    .set(
      tags.PurposeOfReferenceCodeSequence,
      'SQ',
      codeItem(['121322', 'DCM', 'Source image for image processing operation']),
    );
  if (source.frameNumber !== undefined) image.set(tags.ReferencedFrameNumber, 'IS', String(source.frameNumber));
  return new DicomDataset()
    .set(tags.SourceImageSequence, 'SQ', image)
    .set(tags.DerivationCodeSequence, 'SQ', codeItem(['113076', 'DCM', 'Segmentation']));
}

/**
 * Items of PerFrameFunctionalGroupsSequence (PS3.3 C.7.6.16.2.2, .3, .6; C.8.20.3.1). Dimension indices: the segment's
 * number, and the rank of the slice among those that have a frame.
 */
export function perFrameGroups(
  frames: readonly SegmentFrame[],
  sources: readonly SourceSliceReference[],
  planes: readonly SlicePlane[],
): DicomDataset[] {
  const usedSlices = [...new Set(frames.map(({ slice }) => slice))].sort((a, b) => a - b);
  const rankOf = new Map(usedSlices.map((slice, rank) => [slice, rank + 1]));
  return frames.map(({ segmentNumber, slice }) =>
    new DicomDataset()
      .set(tags.DerivationImageSequence, 'SQ', derivationItem(sources[slice] as SourceSliceReference))
      .set(
        tags.FrameContentSequence,
        'SQ',
        new DicomDataset().set(tags.DimensionIndexValues, 'UL', segmentNumber, rankOf.get(slice) as number),
      )
      .set(
        tags.PlanePositionSequence,
        'SQ',
        new DicomDataset().set(tags.ImagePositionPatient, 'DS', ...(planes[slice] as SlicePlane).position),
      )
      .set(
        tags.SegmentIdentificationSequence,
        'SQ',
        new DicomDataset().set(tags.ReferencedSegmentNumber, 'US', segmentNumber),
      ),
  );
}

/** The Multi-frame Dimension module for (segment, position) (PS3.3 C.7.6.17). */
export function setDimensions(target: DicomDataset, organizationUid: string): void {
  const index = (pointer: number, group: number, label: string) =>
    new DicomDataset()
      .set(tags.DimensionOrganizationUID, 'UI', organizationUid)
      .set(tags.DimensionIndexPointer, 'AT', pointer)
      .set(tags.FunctionalGroupPointer, 'AT', group)
      .set(tags.DimensionDescriptionLabel, 'LO', label);
  target
    .set(
      tags.DimensionOrganizationSequence,
      'SQ',
      new DicomDataset().set(tags.DimensionOrganizationUID, 'UI', organizationUid),
    )
    .set(
      tags.DimensionIndexSequence,
      'SQ',
      index(tags.ReferencedSegmentNumber, tags.SegmentIdentificationSequence, 'ReferencedSegmentNumber'),
      index(tags.ImagePositionPatient, tags.PlanePositionSequence, 'ImagePositionPatient'),
    );
}

/** ReferencedSeriesSequence (PS3.3 C.12.2): every source instance, by series. */
export function setReferencedSeries(target: DicomDataset, sources: readonly SourceSliceReference[]): void {
  const bySeries = new Map<string, Map<string, DicomDataset>>();
  for (const { attributes } of sources) {
    const series = attributes.string(tags.SeriesInstanceUID) ?? '';
    const instances = bySeries.get(series) ?? new Map<string, DicomDataset>();
    bySeries.set(series, instances);
    const uid = attributes.string(tags.SOPInstanceUID) ?? '';
    if (instances.has(uid)) continue;
    instances.set(
      uid,
      new DicomDataset()
        .set(tags.ReferencedSOPClassUID, 'UI', attributes.string(tags.SOPClassUID) ?? '')
        .set(tags.ReferencedSOPInstanceUID, 'UI', uid),
    );
  }
  const items = [...bySeries].map(([uid, instances]) =>
    new DicomDataset()
      .set(tags.SeriesInstanceUID, 'UI', uid)
      .set(tags.ReferencedInstanceSequence, 'SQ', ...instances.values()),
  );
  target.set(tags.ReferencedSeriesSequence, 'SQ', ...items);
}
