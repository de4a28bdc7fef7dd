import { EndpointError } from '../../errors.ts';
import { flipLpsRas, spacingMm, transformPoint } from '../../imaging/affine.ts';
import { type Volume, voxelCount } from '../../imaging/volume.ts';
import { DicomDataset } from './dataset.ts';
import { formatDs } from './decimal-string.ts';
import { writePart10 } from './part10-writer.ts';
import { asLo, type Equipment, setEquipment } from './provenance-modules.ts';
import { tags } from './tags.ts';
import { transferSyntax } from './transfer-syntax.ts';

/** Whom and what a new CT series belongs to. Dates `YYYYMMDD`, times `HHMMSS`, names `Family^Given`. */
export interface CtSeriesDescription {
  readonly patient: {
    readonly name: string;
    readonly id: string;
    readonly birthDate?: string;
    readonly sex?: 'M' | 'F' | 'O';
  };
  readonly study: {
    readonly instanceUid: string;
    readonly id: string;
    readonly date: string;
    readonly time: string;
    readonly description: string;
    readonly accessionNumber?: string;
  };
  readonly series: {
    readonly instanceUid: string;
    readonly number: number;
    readonly description: string;
    readonly frameOfReferenceUid: string;
    /** BodyPartExamined, one that is no paired structure: `ABDOMEN`, `CHEST`, … (else Laterality would be due). */
    readonly bodyPart: string;
  };
  /** UID of the instance that shows slice k. */
  readonly sopInstanceUid: (k: number) => string;
  readonly equipment: Equipment;
  readonly window?: { readonly center: number; readonly width: number };
}

/** One slice in file form. */
export interface CtFile {
  readonly sopInstanceUid: string;
  /** 1-based InstanceNumber, in the order of the volume's k. */
  readonly instanceNumber: number;
  readonly bytes: Uint8Array;
}

const CT_IMAGE_STORAGE = '1.2.840.10008.5.1.4.1.1.2';
/** Stored value 0 is air, as most scanners have it. */
const RESCALE_INTERCEPT = -1024;

function commonDataset(description: CtSeriesDescription): DicomDataset {
  const { patient, study, series, window } = description;
  const dataset = new DicomDataset()
    .set(tags.ImageType, 'CS', 'DERIVED', 'PRIMARY', 'AXIAL')
    .set(tags.StudyDate, 'DA', study.date)
    .set(tags.SeriesDate, 'DA', study.date)
    .set(tags.AcquisitionDate, 'DA', study.date)
    .set(tags.ContentDate, 'DA', study.date)
    .set(tags.StudyTime, 'TM', study.time)
    .set(tags.SeriesTime, 'TM', study.time)
    .set(tags.AcquisitionTime, 'TM', study.time)
    .set(tags.ContentTime, 'TM', study.time)
    .set(tags.AccessionNumber, 'SH', study.accessionNumber ?? '')
    .set(tags.Modality, 'CS', 'CT')
    .set(tags.ReferringPhysicianName, 'PN')
    .set(tags.StudyDescription, 'LO', asLo(study.description))
    .set(tags.SeriesDescription, 'LO', asLo(series.description))
    .set(tags.PatientName, 'PN', patient.name)
    .set(tags.PatientID, 'LO', patient.id)
    .set(tags.PatientBirthDate, 'DA', patient.birthDate ?? '')
    .set(tags.PatientSex, 'CS', patient.sex ?? '')
    .set(tags.BodyPartExamined, 'CS', series.bodyPart)
    .set(tags.KVP, 'DS')
    .set(tags.PatientPosition, 'CS', 'HFS')
    .set(tags.StudyInstanceUID, 'UI', study.instanceUid)
    .set(tags.SeriesInstanceUID, 'UI', series.instanceUid)
    .set(tags.StudyID, 'SH', study.id)
    .set(tags.SeriesNumber, 'IS', String(series.number))
    .set(tags.AcquisitionNumber, 'IS', '1')
    .set(tags.FrameOfReferenceUID, 'UI', series.frameOfReferenceUid)
    .set(tags.PositionReferenceIndicator, 'LO')
    .set(tags.SamplesPerPixel, 'US', 1)
    .set(tags.PhotometricInterpretation, 'CS', 'MONOCHROME2')
    .set(tags.BitsAllocated, 'US', 16)
    .set(tags.BitsStored, 'US', 16)
    .set(tags.HighBit, 'US', 15)
    .set(tags.PixelRepresentation, 'US', 1)
    .set(tags.RescaleIntercept, 'DS', formatDs(RESCALE_INTERCEPT))
    .set(tags.RescaleSlope, 'DS', '1')
    .set(tags.RescaleType, 'LO', 'HU');
  if (window) {
    dataset.set(tags.WindowCenter, 'DS', formatDs(window.center)).set(tags.WindowWidth, 'DS', formatDs(window.width));
  }
  setEquipment(dataset, description.equipment);
  return dataset;
}

function storedValues(hounsfield: Int16Array): Uint8Array {
  const stored = Buffer.alloc(hounsfield.length * 2);
  hounsfield.forEach((value, at) => {
    const raw = value - RESCALE_INTERCEPT;
    if (raw > 32_767) throw new EndpointError('internal', `${value} HU is beyond what the CT writer stores.`);
    stored.writeInt16LE(raw, at * 2);
  });
  return stored;
}

/**
 * Writes a volume of Hounsfield units as a CT series (PS3.3 A.3): a Part 10 file a slice, explicit VR little-endian,
 * 16-bit signed with rescale. Files come one by one, so that the series never lies in memory twice. RAS becomes LPS
 * here.
 *
 * @throws EndpointError `internal` when the data do not fill the shape, or a value is beyond 31,743 HU
 */
export function* writeCtSeries(volume: Volume<Int16Array>, description: CtSeriesDescription): Generator<CtFile> {
  const { data, shape } = volume;
  const [columns, rows, slices] = shape;
  if (data.length !== voxelCount(shape)) {
    throw new EndpointError('internal', `A volume of ${shape.join('×')} needs another number of voxels.`);
  }
  const affine = flipLpsRas(volume.affineRas);
  const [columnSpacing, rowSpacing, sliceSpacing] = spacingMm(affine);
  const cosine = (row: number, column: number, spacing: number) => (affine[row * 4 + column] as number) / spacing;
  const orientation = [
    ...[0, 1, 2].map((axis) => formatDs(cosine(axis, 0, columnSpacing))),
    ...[0, 1, 2].map((axis) => formatDs(cosine(axis, 1, rowSpacing))),
  ];
  const common = commonDataset(description)
    .set(tags.Rows, 'US', rows)
    .set(tags.Columns, 'US', columns)
    .set(tags.PixelSpacing, 'DS', formatDs(rowSpacing), formatDs(columnSpacing))
    .set(tags.SliceThickness, 'DS', formatDs(sliceSpacing))
    .set(tags.ImageOrientationPatient, 'DS', ...orientation);
  for (let k = 0; k < slices; k++) {
    const sopInstanceUid = description.sopInstanceUid(k);
    const dataset = new DicomDataset(common.entries())
      .set(tags.InstanceNumber, 'IS', String(k + 1))
      .set(tags.ImagePositionPatient, 'DS', ...transformPoint(affine, [0, 0, k]).map(formatDs));
    const bytes = writePart10(dataset, {
      sopClassUid: CT_IMAGE_STORAGE,
      sopInstanceUid,
      transferSyntaxUid: transferSyntax.explicitLittleEndian,
      pixelData: { bytes: storedValues(data.subarray(k * rows * columns, (k + 1) * rows * columns)), vr: 'OW' },
    });
    yield { sopInstanceUid, instanceNumber: k + 1, bytes };
  }
}
