import { DicomDataset } from '../../src/formats/dicom/dataset.ts';
import { tags } from '../../src/formats/dicom/tags.ts';

/** Attributes of an axial CT slice, as a source of results. */
export function syntheticSlice(k: number, rows: number, columns: number): DicomDataset {
  return new DicomDataset()
    .set(tags.SOPClassUID, 'UI', '1.2.840.10008.5.1.4.1.1.2')
    .set(tags.SOPInstanceUID, 'UI', `2.25.100${k}`)
    .set(tags.PatientName, 'PN', 'Müller^Jürgen')
    .set(tags.PatientID, 'LO', 'P1')
    .set(tags.StudyInstanceUID, 'UI', '2.25.1')
    .set(tags.SeriesInstanceUID, 'UI', '2.25.2')
    .set(tags.FrameOfReferenceUID, 'UI', '2.25.3')
    .set(tags.ImagePositionPatient, 'DS', '-10.50', '5', String(k * 3))
    .set(tags.ImageOrientationPatient, 'DS', '1', '0', '0', '0', '1', '0')
    .set(tags.PixelSpacing, 'DS', '0.750', '0.5')
    .set(tags.SliceThickness, 'DS', '3')
    .set(tags.SamplesPerPixel, 'US', 1)
    .set(tags.Rows, 'US', rows)
    .set(tags.Columns, 'US', columns)
    .set(tags.BitsAllocated, 'US', 16);
}

export const syntheticSlices = (rows: number, columns: number, slices: number) =>
  Array.from({ length: slices }, (_, k) => ({ attributes: syntheticSlice(k, rows, columns) }));
