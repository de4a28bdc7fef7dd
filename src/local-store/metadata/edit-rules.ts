import { tagOf, vrOf } from '../../formats/dicom/dictionary.ts';
import type { JsonValue } from '../import/outcome.ts';
import { validation } from '../service-error.ts';
import { levelOf, type MetadataLevel } from './levels.ts';
import { allowsManyValues } from './multiplicity.ts';

/** How an update was asked for. */
export interface EditRules {
  readonly force: boolean;
  readonly isPrimary: boolean;
}

/**
 * What says how the stored frames are to be read. The service protects the frames' own entries; these belong to them:
 * with other values a reader would make another image of the same bytes.
 */
const frameKeywords = new Set([
  'PixelData',
  'FloatPixelData',
  'DoubleFloatPixelData',
  'Rows',
  'Columns',
  'SamplesPerPixel',
  'PhotometricInterpretation',
  'PlanarConfiguration',
  'BitsAllocated',
  'BitsStored',
  'HighBit',
  'PixelRepresentation',
  'NumberOfFrames',
  'SOPClassUID',
]);
const identifiers = new Set(['StudyInstanceUID', 'SeriesInstanceUID', 'SOPInstanceUID']);
const numberVrs = new Set(['US', 'SS', 'UL', 'SL', 'FL', 'FD', 'xs']);
const byteVrs = new Set(['OB', 'OW', 'OD', 'OF', 'OL', 'OV', 'UN', 'ox', 'lt']);
const formats: Readonly<Record<string, RegExp>> = {
  DA: /^(\d{8})?$/,
  TM: /^(\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?)? *$/,
  DT: /^(\d{4,14}(\.\d{1,6})?([+-]\d{4})?)? *$/,
  AS: /^(\d{3}[DWMY])?$/,
  CS: /^[A-Z0-9 _]{0,16}$/,
  IS: /^ *([+-]?\d{1,11})? *$/,
  DS: /^ *([+-]?(\d+\.?\d*|\.\d+)([Ee][+-]?\d+)?)? *$/,
  UI: /^[0-9.]{0,64}$/,
};

const isPrivate = (key: string): boolean => /^[0-9A-F]{8}$/.test(key) && Number.parseInt(key.slice(0, 4), 16) % 2 === 1;

/**
 * Whether an attribute may be changed at its place, by the service's constraints (developer guide, "DICOM metadata
 * constraints").
 *
 * @param value - the new value; undefined removes the attribute
 * @param present - whether the attribute stands at this place now
 * @throws ServiceError `ValidationException`
 */
export function checkEdit(
  key: string,
  value: JsonValue | undefined,
  level: MetadataLevel,
  present: boolean,
  { force, isPrimary }: EditRules,
): void {
  const refuse = (why: string) => validation(`${key} ${why}.`);
  if (frameKeywords.has(key)) throw refuse('describes the stored frames and cannot be changed');
  if (isPrivate(key)) {
    if (level !== 'instance') throw refuse('is private: it can be changed at the instance level only');
    if (!force) throw refuse('is private: it can be changed with force only');
    return;
  }
  const tag = tagOf(key);
  if (tag === undefined) {
    if (!force || !/^[0-9A-Za-z]{1,64}$/.test(key)) throw refuse('is no attribute of the DICOM standard');
    if (value !== undefined) throw refuse('is unknown to this server: it can be removed only');
    return;
  }
  if (tag >>> 16 === 2) throw refuse('belongs to the file and cannot be changed');
  const own = levelOf(tag);
  // An attribute of the series on which instances differ stands with them.
  if (own !== level && !(own === 'series' && level === 'instance' && present)) {
    throw refuse(`belongs to the ${own} level`);
  }
  if (identifiers.has(key)) {
    if (value === undefined) throw refuse('cannot be removed');
    if (isPrimary) throw refuse('cannot be changed in a primary image set');
  }
  if ((identifiers.has(key) || key === 'StudyID') && !force) throw refuse('can be changed with force only');
  if (value !== undefined) checkValue(key, vrOf(tag) ?? 'UN', value, force);
}

function checkValue(key: string, vr: string, value: JsonValue, force: boolean): void {
  const refuse = (why: string) => validation(`${key} ${why}.`);
  if (vr === 'SQ') {
    if (!force) throw refuse('is a sequence: it can be changed with force only');
    if (!Array.isArray(value)) throw refuse('is a sequence: it takes a list of items');
    return;
  }
  if (Array.isArray(value) && !force) throw refuse('has several values: they can be changed with force only');
  if (!Array.isArray(value) && value !== null && allowsManyValues(key) && !force) {
    throw refuse('may have several values: it can be changed with force only');
  }
  for (const one of Array.isArray(value) ? value : [value]) {
    if (one === null) continue;
    const isRight = numberVrs.has(vr) ? typeof one === 'number' : typeof one === 'string';
    if (!isRight) throw refuse(`takes ${numberVrs.has(vr) ? 'a number' : 'text'} (VR ${vr})`);
    if (typeof one === 'string' && !force && !byteVrs.has(vr) && formats[vr]?.test(one) === false) {
      throw refuse(`takes a value of VR ${vr}`);
    }
  }
  if (identifiers.has(key) && !(typeof value === 'string' && /^[0-9.]{1,64}$/.test(value))) {
    throw refuse('takes a UID');
  }
}
