import { describe, expect, it } from 'vitest';
import { keywordOf, resolveVr, tagOf, tags, vrOf } from '../../../../src/formats/dicom/dictionary.ts';

describe('dictionary', () => {
  it('names every tag of the short list as the full dictionary does', () => {
    for (const [keyword, tag] of Object.entries(tags)) {
      expect([keyword, tagOf(keyword)]).toEqual([keyword, tag]);
      expect([tag, keywordOf(tag)]).toEqual([tag, keyword]);
    }
  });

  it("scans out of the package's text what importing it gives", async () => {
    const path = 'dcmjs/dictionary';
    const { dictionary } = (await import(path)) as { dictionary: Record<string, { vr: string; name: string }> };
    const corrected = new Set([0x00221642, 0x00660040, 0x00660041, 0x00660042, 0x00660043, 0x0040a803, 0x00760034]);
    let compared = 0;
    for (const [key, entry] of Object.entries(dictionary)) {
      const match = /^\(([0-9A-F]{4}),([0-9A-F]{4})\)$/i.exec(key);
      if (!match || !entry.name || entry.vr === 'na') continue;
      const tag = Number.parseInt(`${match[1]}${match[2]}`, 16);
      if (corrected.has(tag) || (tag & 0xffff) === 0) continue;
      expect([key, keywordOf(tag), vrOf(tag)]).toEqual([
        key,
        entry.name.replace('RETIRED_', ''),
        entry.vr === 'up' ? 'UL' : entry.vr,
      ]);
      compared++;
    }
    expect(compared).toBeGreaterThan(5000);
  });

  it('knows group lengths, private creators, overlays, and nothing of other private elements', () => {
    expect(vrOf(0x00080000)).toBe('UL');
    expect(vrOf(0x00090010)).toBe('LO');
    expect(vrOf(0x00091001)).toBeUndefined();
    expect(vrOf(0x60023000)).toBe('ox');
    expect(keywordOf(0x60023000)).toBe('OverlayData');
    expect(tagOf('NoSuchKeyword')).toBeUndefined();
  });

  it('resolves the open VRs by PixelRepresentation', () => {
    expect(vrOf(tags.PixelPaddingValue)).toBe('xs');
    expect(resolveVr('xs', 1)).toBe('SS');
    expect(resolveVr('xs', undefined)).toBe('US');
    expect(resolveVr('ox', 0)).toBe('OW');
    expect(resolveVr('DS', 1)).toBe('DS');
  });
});
