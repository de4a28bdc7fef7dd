import type { JsonAttributes, JsonValue } from '../import/outcome.ts';
import { ServiceError, validation } from '../service-error.ts';
import type { InstanceNode, MetadataDocument, SeriesNode } from './document.ts';
import type { DocumentEdit, InstanceEdit } from './edit-request.ts';
import { checkEdit, type EditRules } from './edit-rules.ts';
import type { MetadataLevel } from './levels.ts';

/** What an edit did besides changing attributes. */
export interface EditResult {
  /** SOP instance UIDs that left the document. */
  readonly removed: readonly string[];
  /** SOP instance UIDs that became others. */
  readonly renamed: ReadonlyMap<string, string>;
}

type Attributes = Record<string, JsonValue>;

/**
 * Applies an update to a document, in place. Removals come first; an instance named without attributes among them
 * leaves as a whole.
 *
 * @throws ServiceError `ValidationException` for what the rules do not allow; the document is then not to be used
 */
export function editDocument(
  document: MetadataDocument,
  removable: DocumentEdit | undefined,
  updatable: DocumentEdit | undefined,
  rules: EditRules,
): EditResult {
  const removed = removable ? remove(document, removable, rules) : [];
  if (updatable) update(document, updatable, rules);
  const renamed = renameKeys(document);
  if (Object.values(document.Study.Series).every(({ Instances }) => Object.keys(Instances).length === 0)) {
    throw validation('An image set keeps at least one instance: delete the image set instead.');
  }
  return { removed, renamed };
}

function remove(document: MetadataDocument, edit: DocumentEdit, rules: EditRules): string[] {
  removeKeys(document.Patient.DICOM, edit.patient, 'patient', rules);
  removeKeys(document.Study.DICOM, edit.study, 'study', rules);
  const gone: string[] = [];
  for (const [seriesUid, { attributes, instances }] of Object.entries(edit.series)) {
    const series = seriesOf(document, seriesUid);
    if (Object.keys(attributes).length + Object.keys(instances).length === 0) {
      throw validation('A series cannot be removed as a whole: delete the image set instead.');
    }
    removeKeys(series.DICOM, attributes, 'series', rules);
    for (const [sop, { attributes: own }] of Object.entries(instances)) {
      const instance = instanceOf(series, sop);
      if (Object.keys(own).length === 0) {
        delete series.Instances[sop];
        gone.push(sop);
        continue;
      }
      removeKeys(instance.DICOM, own, 'instance', rules);
      instance.DICOMVRs = without(instance.DICOMVRs, Object.keys(own));
    }
  }
  return gone;
}

function update(document: MetadataDocument, edit: DocumentEdit, rules: EditRules): void {
  setKeys(document.Patient.DICOM, edit.patient, 'patient', rules);
  setKeys(document.Study.DICOM, edit.study, 'study', rules);
  for (const [seriesUid, { attributes, instances }] of Object.entries(edit.series)) {
    const series = seriesOf(document, seriesUid);
    setKeys(series.DICOM, attributes, 'series', rules);
    for (const key of Object.keys(attributes)) {
      // Where instances had values of their own, the series' one holds for all now.
      for (const node of Object.values(series.Instances)) delete (node.DICOM as Attributes)[key];
    }
    for (const [sop, change] of Object.entries(instances)) updateInstance(instanceOf(series, sop), change, rules);
  }
}

function updateInstance(node: InstanceNode, { attributes, vrs }: InstanceEdit, rules: EditRules): void {
  setKeys(node.DICOM, attributes, 'instance', rules);
  const known = { ...node.DICOMVRs };
  for (const key of Object.keys(attributes)) {
    if (!/^[0-9A-F]{8}$/.test(key)) continue;
    const vr = vrs[key] ?? known[key];
    if (vr === undefined || !/^[A-Z]{2}$/.test(vr)) throw validation(`${key} needs its VR in DICOMVRs.`);
    known[key] = vr;
  }
  node.DICOMVRs = known;
}

function removeKeys(at: JsonAttributes, edit: JsonAttributes, level: MetadataLevel, rules: EditRules): void {
  for (const key of Object.keys(edit)) {
    checkEdit(key, undefined, level, key in at, rules);
    if (!Object.hasOwn(at, key)) throw validation(`${key} is not there, so it cannot be removed.`);
    delete (at as Attributes)[key];
  }
}

function setKeys(at: JsonAttributes, edit: JsonAttributes, level: MetadataLevel, rules: EditRules): void {
  for (const [key, value] of Object.entries(edit)) {
    checkEdit(key, value, level, Object.hasOwn(at, key), rules);
    (at as Attributes)[key] = value;
  }
}

/** The document names series and instances by their UIDs: a changed UID changes the name. */
function renameKeys(document: MetadataDocument): Map<string, string> {
  const renamed = new Map<string, string>();
  const { Series } = document.Study;
  for (const [seriesUid, series] of Object.entries(Series)) {
    for (const [sop, node] of Object.entries(series.Instances)) {
      const now = node.DICOM.SOPInstanceUID;
      if (typeof now !== 'string' || now === sop) continue;
      if (Object.hasOwn(series.Instances, now)) {
        throw new ServiceError('ConflictException', 'Two instances of the image set would have one SOPInstanceUID.');
      }
      delete series.Instances[sop];
      series.Instances[now] = node;
      renamed.set(sop, now);
    }
    const now = series.DICOM.SeriesInstanceUID;
    if (typeof now !== 'string' || now === seriesUid) continue;
    delete Series[seriesUid];
    Series[now] = series;
  }
  return renamed;
}

function seriesOf(document: MetadataDocument, uid: string): SeriesNode {
  const series = Object.hasOwn(document.Study.Series, uid) ? document.Study.Series[uid] : undefined;
  if (!series) throw validation(`The image set has no series ${uid}.`);
  return series;
}

function instanceOf(series: SeriesNode, uid: string): InstanceNode {
  const instance = Object.hasOwn(series.Instances, uid) ? series.Instances[uid] : undefined;
  if (!instance) throw validation(`The image set has no instance ${uid}.`);
  return instance;
}

const without = <T>(record: Readonly<Record<string, T>>, keys: readonly string[]): Record<string, T> =>
  Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));
