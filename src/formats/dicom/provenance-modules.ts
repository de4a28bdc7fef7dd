import { codeItem } from './code-item.ts';
import { DicomDataset } from './dataset.ts';
import { tags } from './tags.ts';

/** What made an object: the Enhanced General Equipment module (PS3.3 C.7.5.2), all type 1. */
export interface Equipment {
  readonly manufacturer: string;
  readonly modelName: string;
  readonly serialNumber: string;
  readonly softwareVersions: string;
}

/** The model behind a derived object, for its provenance. */
export interface ModelProvenance {
  readonly name: string;
  readonly version: string;
  /** Digest of the model's files. */
  readonly sha256: string;
  readonly manufacturer?: string;
}

/** Cuts text to what an LO value may hold (64 characters, no backslash, no control characters). */
export const asLo = (text: string): string =>
  text
    .replace(/[\\\p{Cc}]/gu, ' ')
    .slice(0, 64)
    .trim();

export function setEquipment(target: DicomDataset, equipment: Equipment): void {
  target
    .set(tags.Manufacturer, 'LO', asLo(equipment.manufacturer))
    .set(tags.ManufacturerModelName, 'LO', asLo(equipment.modelName))
    .set(tags.DeviceSerialNumber, 'LO', asLo(equipment.serialNumber))
    .set(tags.SoftwareVersions, 'LO', asLo(equipment.softwareVersions));
}

/**
 * Names the model in ContributingEquipmentSequence (PS3.3 C.12.1.1.5), purpose "Processing Equipment".
 *
 * @param dateTime - DICOM DT, `YYYYMMDDHHMMSS`
 */
export function setModelProvenance(target: DicomDataset, model: ModelProvenance, dateTime: string): void {
  const item = new DicomDataset()
    .set(tags.PurposeOfReferenceCodeSequence, 'SQ', codeItem(['109102', 'DCM', 'Processing Equipment']))
    .set(tags.Manufacturer, 'LO', asLo(model.manufacturer ?? 'Unknown'))
    .set(tags.ManufacturerModelName, 'LO', asLo(model.name))
    .set(tags.SoftwareVersions, 'LO', asLo(model.version))
    .set(tags.ContributionDateTime, 'DT', dateTime)
    .set(
      tags.ContributionDescription,
      'ST',
      `Inference by model ${model.name} ${model.version}, SHA-256 ${model.sha256}`,
    );
  target.set(tags.ContributingEquipmentSequence, 'SQ', item);
}
