import { DicomDataset, type DicomElement, type ElementValue, type Tag } from '../../formats/dicom/dataset.ts';
import { keywordOf, tagOf, vrOf } from '../../formats/dicom/dictionary.ts';
import type { JsonAttributes, JsonValue } from '../import/outcome.ts';
import { levelOf, type MetadataLevel } from './levels.ts';
import { allowsManyValues } from './multiplicity.ts';

/** An object's attributes by level, in the form of the metadata document. */
export interface LeveledAttributes {
  readonly patient: JsonAttributes;
  readonly study: JsonAttributes;
  readonly series: JsonAttributes;
  readonly instance: JsonAttributes;
  /** `DICOMVRs`: the VR of each attribute for which the dictionary has none or several. */
  readonly vrs: Readonly<Record<string, string>>;
}

type MutableAttributes = Record<string, JsonValue>;

const groupLengths = (tag: Tag): boolean => (tag & 0xffff) === 0;
const pixelElements = new Set([0x7fe00008, 0x7fe00009, 0x7fe00010]);
/** Offset tables speak of the received encoding of the pixels, which are stored apart. */
const offsetTables = new Set([0x7fe00001, 0x7fe00002]);

/**
 * The attributes of a received object as the metadata document holds them: keyed by keyword (private, repeating and
 * unknown ones by eight hexadecimal digits), DS and IS as the text that was received with its blanks, binary numbers
 * as numbers, bytes as base64, sequences as lists of such objects, empty as null; an attribute that may have several
 * values is a list. The file meta group is among an instance's own attributes.
 *
 * @param dataset - read with `keepPadding`
 * @param hasPixelData - the reader leaves PixelData out of the data set; the document says null for it
 */
export function leveledAttributes(meta: DicomDataset, dataset: DicomDataset, hasPixelData: boolean): LeveledAttributes {
  const vrs: Record<string, string> = {};
  const levels: Record<MetadataLevel, MutableAttributes> = { patient: {}, study: {}, series: {}, instance: {} };
  for (const [tag, element] of meta.entries()) {
    if (!groupLengths(tag)) levels.instance[keyOf(tag)] = elementJson(tag, element, vrs);
  }
  for (const [tag, element] of dataset.entries()) {
    if (groupLengths(tag) || offsetTables.has(tag)) continue;
    if (pixelElements.has(tag)) levels.instance[keyOf(tag)] = null;
    else levels[levelOf(tag)][keyOf(tag)] = elementJson(tag, element, vrs);
  }
  if (hasPixelData) levels.instance[keyOf(0x7fe00010)] = null;
  return { ...levels, vrs };
}

/** Keyword where it leads back to the same tag, else hexadecimal digits, so that no two tags share a key. */
function keyOf(tag: Tag): string {
  const keyword = keywordOf(tag);
  if (keyword !== undefined && tagOf(keyword) === tag) return keyword;
  return tag.toString(16).toUpperCase().padStart(8, '0');
}

/** Dictionary VRs that stand for one of several. */
const openVrs = new Set(['xs', 'lt']);

function elementJson(tag: Tag, element: DicomElement, vrs: Record<string, string>): JsonValue {
  const key = keyOf(tag);
  const known = vrOf(tag);
  const isHexKey = key.length === 8 && /^[0-9A-F]{8}$/.test(key);
  const openOrOther = known === undefined || openVrs.has(known) || (known !== element.vr && known !== 'ox');
  if (isHexKey || openOrOther) vrs[key] ??= element.vr;
  if (element.vr === 'SQ') {
    return element.values.filter((item) => item instanceof DicomDataset).map((item) => itemJson(item, vrs));
  }
  if (element.values.length === 0) return null;
  const values = element.values.map((value) => valueJson(element.vr, value));
  // Bytes are one value, however many words they are.
  if (element.values[0] instanceof Uint8Array) return values[0] as JsonValue;
  const isList = values.length > 1 || (!isHexKey && allowsManyValues(key));
  return isList ? values : (values[0] as JsonValue);
}

function itemJson(item: DicomDataset, vrs: Record<string, string>): JsonAttributes {
  const json: MutableAttributes = {};
  for (const [tag, element] of item.entries()) {
    if (!groupLengths(tag)) json[keyOf(tag)] = elementJson(tag, element, vrs);
  }
  return json;
}

function valueJson(vr: string, value: ElementValue): JsonValue {
  if (typeof value === 'string') return value;
  if (value instanceof Uint8Array) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64');
  }
  if (vr === 'AT') return Number(value).toString(16).toUpperCase().padStart(8, '0');
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  // JSON has no NaN and no infinity.
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  throw new TypeError('A sequence item outside a sequence.');
}
