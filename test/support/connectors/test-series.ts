import { crc32 } from 'node:zlib';
import type { EncodedFrame, SourceInstance, SourceSeries } from '../../../src/connectors/image-source.ts';
import { DicomDataset } from '../../../src/formats/dicom/dataset.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { encodeHtj2k } from '../../../src/formats/htj2k/encoder.ts';

/** One slice as a small CT object would describe it. */
export interface TestSlice {
  readonly position: readonly [number, number, number];
  readonly orientation?: readonly number[];
  readonly spacing?: readonly [number, number];
  readonly slope?: number;
  readonly intercept?: number;
  readonly rows?: number;
  readonly columns?: number;
  /** Stored value of all pixels, or each. */
  readonly pixels?: number | readonly number[];
  readonly patientId?: string;
  readonly studyUid?: string;
  /** Other attributes, by keyword of `tags`. */
  readonly set?: (attributes: DicomDataset) => void;
}

export const testSeriesUid = '1.2.3.4';

export function testAttributes(slice: TestSlice, index: number): DicomDataset {
  const attributes = new DicomDataset()
    .set(tags.SOPClassUID, 'UI', '1.2.840.10008.5.1.4.1.1.2')
    .set(tags.SOPInstanceUID, 'UI', `1.2.3.4.${index + 1}`)
    .set(tags.PatientID, 'LO', slice.patientId ?? 'P1')
    .set(tags.StudyInstanceUID, 'UI', slice.studyUid ?? '1.2.3')
    .set(tags.SeriesInstanceUID, 'UI', testSeriesUid)
    .set(tags.FrameOfReferenceUID, 'UI', '1.2.3.9')
    .set(tags.Modality, 'CS', 'CT')
    .set(tags.ImageType, 'CS', 'ORIGINAL', 'PRIMARY', 'AXIAL')
    .set(tags.InstanceNumber, 'IS', String(index + 1))
    .set(tags.ImagePositionPatient, 'DS', ...slice.position.map(String))
    .set(tags.ImageOrientationPatient, 'DS', ...(slice.orientation ?? [1, 0, 0, 0, 1, 0]).map(String))
    .set(tags.PixelSpacing, 'DS', ...(slice.spacing ?? [2, 1]).map(String))
    .set(tags.SliceThickness, 'DS', '3')
    .set(tags.Rows, 'US', slice.rows ?? 3)
    .set(tags.Columns, 'US', slice.columns ?? 4)
    .set(tags.SamplesPerPixel, 'US', 1)
    .set(tags.PhotometricInterpretation, 'CS', 'MONOCHROME2')
    .set(tags.BitsAllocated, 'US', 16)
    .set(tags.BitsStored, 'US', 12)
    .set(tags.HighBit, 'US', 11)
    .set(tags.PixelRepresentation, 'US', 0)
    .set(tags.RescaleSlope, 'DS', String(slice.slope ?? 1))
    .set(tags.RescaleIntercept, 'DS', String(slice.intercept ?? -1024));
  slice.set?.(attributes);
  return attributes;
}

export function testPixels(slice: TestSlice, index: number): Uint16Array {
  const count = (slice.rows ?? 3) * (slice.columns ?? 4);
  const { pixels } = slice;
  if (typeof pixels === 'object') return Uint16Array.from(pixels);
  return Uint16Array.from({ length: count }, (_, at) => pixels ?? 1024 + index * 50 + at);
}

/** A series in memory; `frame` may put something else in place of a frame. */
export function testSeries(
  slices: readonly TestSlice[],
  frame?: (index: number, encoded: EncodedFrame) => EncodedFrame | Promise<EncodedFrame>,
): SourceSeries {
  const instances = slices.map((slice, index): SourceInstance => {
    const bytes = new Uint8Array(testPixels(slice, index).buffer);
    const encoded: EncodedFrame = { bytes, transferSyntaxUid: '1.2.840.10008.1.2.1' };
    return {
      attributes: testAttributes(slice, index),
      numberOfFrames: 1,
      readFrame: async () => (frame ? frame(index, encoded) : encoded),
    };
  });
  return { seriesInstanceUid: testSeriesUid, instances };
}

/** `count` slices 3 mm apart. */
export const regularSlices = (count: number, more: Omit<TestSlice, 'position'> = {}): TestSlice[] =>
  Array.from({ length: count }, (_, index) => ({ position: [-10, -20, 5 + 3 * index], ...more }));

/** The slices as an image set: metadata document and HTJ2K frames by id, as HealthImaging would keep them. */
export async function testImageSet(
  slices: readonly TestSlice[],
): Promise<{ document: unknown; frames: Map<string, Uint8Array>; frameIds: string[] }> {
  const frames = new Map<string, Uint8Array>();
  const instances: Record<string, unknown> = {};
  const frameIds: string[] = [];
  for (const [index, slice] of slices.entries()) {
    const pixels = new Uint8Array(testPixels(slice, index).buffer);
    const id = String(index).padStart(32, '0');
    frameIds.push(id);
    const [columns, rows] = [slice.columns ?? 4, slice.rows ?? 3];
    frames.set(id, await encodeTestFrame(pixels, columns, rows));
    instances[`1.2.3.4.${index + 1}`] = {
      DICOM: {
        SOPClassUID: '1.2.840.10008.5.1.4.1.1.2',
        SOPInstanceUID: `1.2.3.4.${index + 1}`,
        InstanceNumber: `${index + 1} `,
        ImagePositionPatient: slice.position.map((value) => `${value} `),
        ImageOrientationPatient: (slice.orientation ?? [1, 0, 0, 0, 1, 0]).map(String),
        PixelSpacing: (slice.spacing ?? [2, 1]).map(String),
        Rows: rows,
        Columns: columns,
        SamplesPerPixel: 1,
        PhotometricInterpretation: 'MONOCHROME2',
        BitsAllocated: 16,
        BitsStored: 12,
        HighBit: 11,
        PixelRepresentation: 0,
        RescaleSlope: '1 ',
        RescaleIntercept: '-1024 ',
        TransferSyntaxUID: '1.2.840.10008.1.2',
        PixelData: null,
      },
      DICOMVRs: {},
      StoredTransferSyntaxUID: index % 2 === 0 ? null : '1.2.840.10008.1.2.4.202',
      ImageFrames: [
        {
          ID: id,
          PixelDataChecksumFromBaseToFullResolution: [{ Width: columns, Height: rows, Checksum: crc32(pixels) }],
          MinPixelValue: 0,
          MaxPixelValue: 4095,
          FrameSizeInBytes: pixels.length,
        },
      ],
    };
  }
  const document = {
    SchemaVersion: '1.1',
    Patient: { DICOM: { PatientID: 'P1', PatientName: 'PATIENT^NAME' } },
    Study: {
      DICOM: { StudyInstanceUID: '1.2.3' },
      Series: {
        [testSeriesUid]: {
          DICOM: { Modality: 'CT', SeriesInstanceUID: testSeriesUid, SeriesNumber: '2' },
          Instances: instances,
        },
      },
    },
  };
  return { document, frames, frameIds };
}

async function encodeTestFrame(pixels: Uint8Array, columns: number, rows: number): Promise<Uint8Array> {
  return encodeHtj2k(pixels, { width: columns, height: rows, bitsAllocated: 16, samplesPerPixel: 1, signed: false });
}
