import { z } from 'zod';
import type { JsonAttributes, JsonValue } from '../import/outcome.ts';
import { validation } from '../service-error.ts';

/**
 * A change of attributes in the form of the metadata document, as UpdateImageSetMetadata takes it (developer guide,
 * "Updating image set metadata"): only the named attributes change.
 */
export interface DocumentEdit {
  readonly patient: JsonAttributes;
  readonly study: JsonAttributes;
  readonly series: Readonly<Record<string, SeriesEdit>>;
}

export interface SeriesEdit {
  readonly attributes: JsonAttributes;
  readonly instances: Readonly<Record<string, InstanceEdit>>;
}

export interface InstanceEdit {
  readonly attributes: JsonAttributes;
  /** VRs of private attributes. */
  readonly vrs: Readonly<Record<string, string>>;
}

const attributes = z.record(z.string(), z.json()).default({});
const uid = z.string().regex(/^[0-9.]{1,64}$/);
const instance = z.strictObject({ DICOM: attributes, DICOMVRs: z.record(z.string(), z.string()).default({}) });
const series = z.strictObject({ DICOM: attributes, Instances: z.record(uid, instance).default({}) });
const editShape = z.strictObject({
  SchemaVersion: z.union([z.literal(1.1), z.literal('1.1')]),
  Patient: z.strictObject({ DICOM: attributes }).optional(),
  Study: z.strictObject({ DICOM: attributes, Series: z.record(uid, series).default({}) }).optional(),
});

/**
 * Parses the JSON text of an edit.
 *
 * @param name - what a refusal calls it: `updatableAttributes`, `removableAttributes`, `copiableAttributes`
 * @throws ServiceError `ValidationException`, naming the place but not repeating the value
 */
export function parseEdit(text: string, name: string): DocumentEdit {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw validation(`${name} is no JSON document.`);
  }
  const parsed = editShape.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    // Keys of the path may be attributes or UIDs, never values.
    throw validation(`${[name, ...(issue?.path ?? [])].map(String).join('.')} is malformed: ${issue?.message}.`);
  }
  const { Patient, Study } = parsed.data;
  return {
    patient: (Patient?.DICOM ?? {}) as JsonAttributes,
    study: (Study?.DICOM ?? {}) as JsonAttributes,
    series: Object.fromEntries(
      Object.entries(Study?.Series ?? {}).map(([key, { DICOM, Instances }]) => [
        key,
        {
          attributes: DICOM as Record<string, JsonValue>,
          instances: Object.fromEntries(
            Object.entries(Instances).map(([sop, { DICOM: own, DICOMVRs }]) => [
              sop,
              { attributes: own as Record<string, JsonValue>, vrs: DICOMVRs },
            ]),
          ),
        },
      ]),
    ),
  };
}

/** True when the edit says anything about the patient or the study. */
export const editsStudy = ({ patient, study }: DocumentEdit): boolean =>
  Object.keys(patient).length + Object.keys(study).length > 0;

/** The part of an edit that holds for every image set of the study. */
export const studyPart = ({ patient, study }: DocumentEdit): DocumentEdit => ({ patient, study, series: {} });
