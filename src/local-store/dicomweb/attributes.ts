import { DicomDataset, type ElementValue } from '../../formats/dicom/dataset.ts';
import { resolveVr, tagOf, vrOf } from '../../formats/dicom/dictionary.ts';
import type { JsonAttributes, JsonValue } from '../import/outcome.ts';

/** Attributes of an instance at all levels, with the VRs that the dictionary cannot tell (`DICOMVRs`). */
export interface InstanceAttributes {
  readonly attributes: JsonAttributes;
  readonly vrs: Readonly<Record<string, string>>;
}

/** Tag of a key of the metadata document: a keyword, or eight hexadecimal digits; undefined for neither. */
export function tagOfKey(key: string): number | undefined {
  return /^[0-9A-F]{8}$/.test(key) ? Number.parseInt(key, 16) : tagOf(key);
}

/** VR of a key of the metadata document. */
export function vrOfKey(key: string, tag: number, { attributes, vrs }: InstanceAttributes): string {
  const told = Object.hasOwn(vrs, key) ? vrs[key] : undefined;
  if (told !== undefined) return told;
  const representation = attributes.PixelRepresentation;
  return resolveVr(vrOf(tag) ?? 'UN', typeof representation === 'number' ? representation : undefined);
}

const numberVrs = new Set(['US', 'SS', 'UL', 'SL', 'FL', 'FD']);
const bigVrs = new Set(['SV', 'UV']);
const byteVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);

/**
 * The data set of an instance, as its metadata says it: without pixel data and file meta group. The reverse of
 * metadata/dataset-json.
 */
export function datasetOf(instance: InstanceAttributes): DicomDataset {
  return itemOf(instance.attributes, instance);
}

function itemOf(item: JsonAttributes, context: InstanceAttributes): DicomDataset {
  const dataset = new DicomDataset();
  for (const [key, value] of Object.entries(item)) {
    const tag = tagOfKey(key);
    if (tag === undefined || tag >>> 16 === 2 || isPixelData(tag)) continue;
    const vr = vrOfKey(key, tag, context);
    dataset.set(tag, vr, ...listOf(value).map((one) => elementValue(vr, one, context)));
  }
  return dataset;
}

/** PixelData and its float forms, and the padding behind a data set. */
export const isPixelData = (tag: number): boolean =>
  tag === 0x7fe00008 || tag === 0x7fe00009 || tag === 0x7fe00010 || tag === 0xfffcfffc;

const listOf = (value: JsonValue): readonly JsonValue[] =>
  value === null ? [] : Array.isArray(value) ? (value as readonly JsonValue[]) : [value];

function elementValue(vr: string, value: JsonValue, context: InstanceAttributes): ElementValue {
  if (vr === 'SQ') return itemOf((value ?? {}) as JsonAttributes, context);
  if (byteVrs.has(vr)) return Buffer.from(String(value ?? ''), 'base64');
  if (vr === 'AT') return Number.parseInt(String(value), 16);
  if (numberVrs.has(vr)) return Number(value);
  if (bigVrs.has(vr)) return BigInt(value as string | number);
  return String(value ?? '');
}
