import { createHash } from 'node:crypto';
import type {
  ImageFrameEntry,
  JsonAttributes,
  JsonValue,
  StagedInstance,
  StagedInstanceFile,
} from '../import/outcome.ts';
import type { DicomTags } from '../records.ts';

/** The document that GetImageSetMetadata gives (SchemaVersion 1.1). One series per image set. */
export interface MetadataDocument {
  SchemaVersion: '1.1';
  DatastoreID: string;
  ImageSetID: string;
  Patient: { DICOM: JsonAttributes };
  Study: { DICOM: JsonAttributes; Series: Record<string, SeriesNode> };
}

export interface SeriesNode {
  DICOM: JsonAttributes;
  Instances: Record<string, InstanceNode>;
}

export interface InstanceNode {
  DICOM: JsonAttributes;
  DICOMVRs: Readonly<Record<string, string>>;
  /** Absent: the data store's own format. */
  StoredTransferSyntaxUID?: string;
  ImageFrames: readonly ImageFrameEntry[];
}

export function emptyDocument(datastoreId: string, imageSetId: string, instance: StagedInstance): MetadataDocument {
  return {
    SchemaVersion: '1.1',
    DatastoreID: datastoreId,
    ImageSetID: imageSetId,
    Patient: { DICOM: instance.patient },
    Study: {
      DICOM: instance.study,
      Series: { [instance.seriesInstanceUid]: { DICOM: {}, Instances: {} } },
    },
  };
}

/** Puts an instance into the document with all its attributes below the study; {@link liftSeries} follows. */
export function putInstance(document: MetadataDocument, instance: StagedInstance, file: StagedInstanceFile): void {
  const node: InstanceNode = {
    DICOM: { ...file.series, ...file.instance },
    DICOMVRs: file.vrs,
    ...(file.storedTransferSyntaxUid === undefined ? {} : { StoredTransferSyntaxUID: file.storedTransferSyntaxUid }),
    ImageFrames: file.frames.map((frame) => frame.entry),
  };
  const series = document.Study.Series[instance.seriesInstanceUid] as SeriesNode;
  series.Instances[instance.sopInstanceUid] = node;
}

/** Undoes {@link liftSeries}, so that instances can join. */
export function lowerSeries(document: MetadataDocument): void {
  for (const series of Object.values(document.Study.Series)) {
    for (const node of Object.values(series.Instances)) node.DICOM = { ...series.DICOM, ...node.DICOM };
    series.DICOM = {};
  }
}

/**
 * Moves attributes of the series level up. One on which the instances differ (or that one of them lacks) stays with
 * each instance: the series says only what holds for all, and nothing received is lost.
 *
 * @param isSeriesKeyword - whether a keyword belongs to the series level
 */
export function liftSeries(document: MetadataDocument, isSeriesKeyword: (keyword: string) => boolean): void {
  for (const series of Object.values(document.Study.Series)) {
    const nodes = Object.values(series.Instances);
    const [first] = nodes;
    if (!first) continue;
    const common: Record<string, JsonValue> = {};
    for (const [keyword, value] of Object.entries(first.DICOM)) {
      if (!isSeriesKeyword(keyword)) continue;
      const text = JSON.stringify(value);
      if (nodes.every((node) => keyword in node.DICOM && JSON.stringify(node.DICOM[keyword]) === text)) {
        common[keyword] = value;
      }
    }
    series.DICOM = common;
    for (const node of nodes) {
      node.DICOM = Object.fromEntries(Object.entries(node.DICOM).filter(([keyword]) => !(keyword in common)));
    }
  }
}

/**
 * Hash of the patient and study level. Absent and empty are the same here, and so is text that differs in trailing
 * blanks only: neither says that two objects are of different patients or studies.
 */
export function identityDigest(patient: JsonAttributes, study: JsonAttributes): string {
  return createHash('sha256')
    .update(canonical(patient) + '\n' + canonical(study))
    .digest('hex');
}

/** Equality of attributes as {@link identityDigest} sees it. */
export const sameAttributes = (a: JsonAttributes, b: JsonAttributes): boolean => canonical(a) === canonical(b);

function canonical(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    const parts = Object.entries(value as JsonAttributes)
      .filter(([, part]) => part !== null && !(Array.isArray(part) && part.length === 0))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    return `{${parts.map(([key, part]) => `${JSON.stringify(key)}:${canonical(part)}`).join(',')}}`;
  }
  return JSON.stringify(typeof value === 'string' ? value.trimEnd() : value);
}

/** What SearchImageSets shows of a document. Counts are those of the image set. */
export function dicomTagsOf(document: MetadataDocument): DicomTags {
  const [seriesUid, series] = Object.entries(document.Study.Series)[0] ?? [];
  const patient = document.Patient.DICOM;
  const study = document.Study.DICOM;
  const nodes = Object.values(series?.Instances ?? {});
  // An attribute on which instances differ stands with them; the first one's is shown.
  const inSeries = (keyword: string): string | undefined => text(series?.DICOM[keyword] ?? nodes[0]?.DICOM[keyword]);
  const seriesNumber = Number.parseInt(inSeries('SeriesNumber') ?? '', 10);
  const shown: Record<keyof DicomTags, string | number | undefined> = {
    DICOMPatientId: text(patient.PatientID),
    DICOMPatientName: text(patient.PatientName),
    DICOMPatientBirthDate: text(patient.PatientBirthDate),
    DICOMPatientSex: text(patient.PatientSex),
    DICOMStudyInstanceUID: text(study.StudyInstanceUID),
    DICOMStudyId: text(study.StudyID),
    DICOMStudyDescription: text(study.StudyDescription),
    DICOMNumberOfStudyRelatedSeries: Object.keys(document.Study.Series).length,
    DICOMNumberOfStudyRelatedInstances: nodes.length,
    DICOMAccessionNumber: text(study.AccessionNumber),
    DICOMSeriesInstanceUID: seriesUid,
    DICOMSeriesModality: inSeries('Modality'),
    DICOMSeriesBodyPart: inSeries('BodyPartExamined'),
    DICOMSeriesNumber: Number.isNaN(seriesNumber) ? undefined : seriesNumber,
    DICOMStudyDate: text(study.StudyDate),
    DICOMStudyTime: text(study.StudyTime),
  };
  return Object.fromEntries(Object.entries(shown).filter(([, value]) => value !== undefined)) as DicomTags;
}

function text(value: JsonValue | undefined): string | undefined {
  const one = Array.isArray(value) ? value[0] : value;
  return typeof one === 'string' && one.trim() !== '' ? one.trim() : undefined;
}
