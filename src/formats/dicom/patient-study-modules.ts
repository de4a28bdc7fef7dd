import type { DicomDataset, Tag } from './dataset.ts';
import { tags } from './tags.ts';

/** Type 2 attributes: present in every object, empty when the source has none (PS3.3 C.7.1.1, C.7.2.1, C.7.4.1). */
const alwaysPresent: readonly (readonly [Tag, string])[] = [
  [tags.PatientName, 'PN'],
  [tags.PatientID, 'LO'],
  [tags.PatientBirthDate, 'DA'],
  [tags.PatientSex, 'CS'],
  [tags.StudyDate, 'DA'],
  [tags.StudyTime, 'TM'],
  [tags.AccessionNumber, 'SH'],
  [tags.ReferringPhysicianName, 'PN'],
  [tags.StudyID, 'SH'],
];

/** Type 3 and conditional attributes of Patient, Clinical context, General Study and Patient Study: copied if there. */
const copiedWhenPresent: readonly Tag[] = [
  tags.IssuerOfPatientID,
  tags.TypeOfPatientID,
  tags.IssuerOfPatientIDQualifiersSequence,
  tags.PatientBirthTime,
  tags.OtherPatientIDsSequence,
  tags.OtherPatientNames,
  tags.EthnicGroup,
  tags.PatientComments,
  tags.PatientSpeciesDescription,
  tags.PatientIdentityRemoved,
  tags.DeidentificationMethod,
  tags.DeidentificationMethodCodeSequence,
  tags.StudyInstanceUID,
  tags.StudyDescription,
  tags.PhysiciansOfRecord,
  tags.ProcedureCodeSequence,
  tags.ReferencedStudySequence,
  tags.AdmittingDiagnosesDescription,
  tags.PatientAge,
  tags.PatientSize,
  tags.PatientWeight,
  tags.TimezoneOffsetFromUTC,
];

/**
 * Copies the patient and study of a source into a new object of the same study, values unchanged (text is Unicode in
 * both, so names of any script survive).
 */
export function copyPatientAndStudy(source: DicomDataset, target: DicomDataset): void {
  for (const [tag, vr] of alwaysPresent) target.set(tag, vr, ...(source.get(tag)?.values ?? []));
  for (const tag of copiedWhenPresent) {
    const element = source.get(tag);
    if (element && element.values.length > 0) target.set(tag, element.vr, ...element.values);
  }
}
