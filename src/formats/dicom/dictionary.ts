import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Tag } from './dataset.ts';

export { tags } from './tags.ts';

const require = createRequire(import.meta.url);

interface DictionaryEntry {
  readonly keyword: string;
  readonly vr: string;
}

interface Dictionary {
  readonly byTag: ReadonlyMap<Tag, DictionaryEntry>;
  readonly byKeyword: ReadonlyMap<string, Tag>;
}

/** Keywords of PS3.6 that the package spells otherwise, or lacks. */
const corrections: readonly (readonly [Tag, string, string])[] = [
  [0x00221642, 'UL', 'NumberOfBscansPerFrame'],
  [0x00660040, 'OL', 'LongPrimitivePointIndexList'],
  [0x00660041, 'OL', 'LongTrianglePointIndexList'],
  [0x00660042, 'OL', 'LongEdgePointIndexList'],
  [0x00660043, 'OL', 'LongVertexPointIndexList'],
  [0x0040a803, 'UL', 'NumberOfTableColumns'],
  [0x00760034, 'SQ', 'ComponentTypeCodeSequence'],
];

/**
 * dcmjs' dictionary (PS3.6), read as text: scanning it takes 10 ms, importing it as a module 40 to 190, and only
 * processes that meet implicit VR or a keyword pay at all. A test holds the scan equal to the module.
 */
function scanDictionary(): Dictionary {
  const text = readFileSync(require.resolve('dcmjs/dictionary'), 'latin1');
  const entry = /\(([0-9A-F]{4}),([0-9A-F]{4})\)["'],\s+vr: "(\w\w)",\s+name: "(?:RETIRED_)?(\w+)"/gi;
  const byTag = new Map<Tag, DictionaryEntry>();
  const byKeyword = new Map<string, Tag>();
  const add = (tag: Tag, vr: string, keyword: string) => {
    byTag.set(tag, { keyword, vr: vr === 'up' ? 'UL' : vr });
    byKeyword.set(keyword, tag);
  };
  for (const [, group, element, vr, keyword] of text.matchAll(entry)) {
    if (vr !== 'na') add(Number.parseInt(`${group}${element}`, 16), vr as string, keyword as string);
  }
  for (const [tag, vr, keyword] of corrections) add(tag, vr, keyword);
  return { byTag, byKeyword };
}

let loaded: Dictionary | undefined;

function dictionary(): Dictionary {
  loaded ??= scanDictionary();
  return loaded;
}

/** Repeating groups 50xx (curves) and 60xx (overlays) stand in the dictionary once (PS3.6 §6). */
const repeatingOverlay: Readonly<Record<number, DictionaryEntry>> = {
  16: { keyword: 'OverlayRows', vr: 'US' },
  17: { keyword: 'OverlayColumns', vr: 'US' },
  21: { keyword: 'NumberOfFramesInOverlay', vr: 'IS' },
  34: { keyword: 'OverlayDescription', vr: 'LO' },
  64: { keyword: 'OverlayType', vr: 'CS' },
  69: { keyword: 'OverlaySubtype', vr: 'LO' },
  80: { keyword: 'OverlayOrigin', vr: 'SS' },
  81: { keyword: 'ImageFrameOrigin', vr: 'US' },
  256: { keyword: 'OverlayBitsAllocated', vr: 'US' },
  258: { keyword: 'OverlayBitPosition', vr: 'US' },
  4096: { keyword: 'OverlayActivationLayer', vr: 'CS' },
  4865: { keyword: 'ROIArea', vr: 'IS' },
  4866: { keyword: 'ROIMean', vr: 'DS' },
  4867: { keyword: 'ROIStandardDeviation', vr: 'DS' },
  5376: { keyword: 'OverlayLabel', vr: 'LO' },
  12288: { keyword: 'OverlayData', vr: 'ox' },
};

function lookUp(tag: Tag): DictionaryEntry | undefined {
  const group = tag >>> 16;
  if (group >= 0x6000 && group <= 0x601e && group % 2 === 0) return repeatingOverlay[tag & 0xffff];
  return dictionary().byTag.get(tag);
}

/** Tag of a PS3.6 keyword; undefined when there is none. */
export const tagOf = (keyword: string): Tag | undefined => dictionary().byKeyword.get(keyword);

/** PS3.6 keyword of a tag; undefined for private and unknown ones. */
export const keywordOf = (tag: Tag): string | undefined => lookUp(tag)?.keyword;

/**
 * VR of a tag as the dictionary tells it: `xs` (US or SS), `ox` (OB or OW) and `lt` (US or OW) where it depends on
 * the data set, see {@link resolveVr}. Private creators are LO, group lengths UL; undefined for what is unknown.
 */
export function vrOf(tag: Tag): string | undefined {
  const element = tag & 0xffff;
  if (element === 0) return 'UL';
  if ((tag >>> 16) % 2 === 1) return element >= 0x10 && element <= 0xff ? 'LO' : undefined;
  return lookUp(tag)?.vr;
}

/**
 * The VR to use where the dictionary leaves it open (PS3.5 annex A): `xs` by PixelRepresentation, `ox` and `lt` as OW,
 * which is what implicit VR means.
 */
export function resolveVr(vr: string, pixelRepresentation: number | undefined): string {
  if (vr === 'xs') return pixelRepresentation === 1 ? 'SS' : 'US';
  return vr === 'ox' || vr === 'lt' ? 'OW' : vr;
}
