import type { JsonAttributes, JsonValue } from '../import/outcome.ts';
import { type InstanceAttributes, isPixelData, tagOfKey, vrOfKey } from './attributes.ts';

/** The DICOM JSON model (PS3.18 annex F). */
export type DicomJson = Record<string, DicomJsonElement>;

export interface DicomJsonElement {
  readonly vr: string;
  readonly Value?: readonly unknown[];
  readonly InlineBinary?: string;
}

const byteVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'UN']);
const numberTextVrs = new Set(['DS', 'IS']);

export const hexTag = (tag: number): string => tag.toString(16).toUpperCase().padStart(8, '0');

/**
 * Attributes in the DICOM JSON model, in the order of their tags, without pixel data and file meta group.
 *
 * @param chosen - which tags to give; default all
 */
export function dicomJson(instance: InstanceAttributes, chosen?: (tag: number) => boolean): DicomJson {
  return itemJson(instance.attributes, instance, chosen);
}

function itemJson(item: JsonAttributes, context: InstanceAttributes, chosen?: (tag: number) => boolean): DicomJson {
  const elements: [number, DicomJsonElement][] = [];
  for (const [key, value] of Object.entries(item)) {
    const tag = tagOfKey(key);
    if (tag === undefined || tag >>> 16 === 2 || isPixelData(tag) || chosen?.(tag) === false) continue;
    elements.push([tag, elementJson(vrOfKey(key, tag, context), value, context)]);
  }
  elements.sort(([a], [b]) => a - b);
  return Object.fromEntries(elements.map(([tag, element]) => [hexTag(tag), element]));
}

function elementJson(vr: string, value: JsonValue, context: InstanceAttributes): DicomJsonElement {
  if (value === null || (Array.isArray(value) && value.length === 0)) return { vr };
  if (byteVrs.has(vr)) return { vr, InlineBinary: String(value) };
  const values = (Array.isArray(value) ? value : [value]) as readonly JsonValue[];
  if (vr === 'SQ') return { vr, Value: values.map((item) => itemJson((item ?? {}) as JsonAttributes, context)) };
  return { vr, Value: values.map((one) => valueJson(vr, one)) };
}

/** One value. @param value - text, or a number for binary VRs; empty values among others are null */
export function valueJson(vr: string, value: JsonValue): unknown {
  if (value === null || value === '') return null;
  if (vr === 'PN') return nameJson(String(value));
  if (numberTextVrs.has(vr)) {
    const text = String(value).trim();
    if (text === '') return null;
    // What is no number stays the text that was received.
    return Number.isFinite(Number(text)) ? Number(text) : text;
  }
  return value;
}

function nameJson(name: string): Record<string, string> {
  const parts = name.split('=');
  const groups = ['Alphabetic', 'Ideographic', 'Phonetic'].map((group, at) => [group, parts[at] ?? ''] as const);
  return Object.fromEntries(groups.filter(([, text]) => text !== ''));
}

/** An element of one value that is not in a document: counts, URLs. */
export const element = (vr: string, ...values: readonly (string | number | undefined)[]): DicomJsonElement => {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? { vr } : { vr, Value: known.map((value) => valueJson(vr, value)) };
};
