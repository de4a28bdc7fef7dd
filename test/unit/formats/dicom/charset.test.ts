import { describe, expect, it } from 'vitest';
import { textDecoding } from '../../../../src/formats/dicom/charset.ts';

const hex = (text: string) => Uint8Array.from(Buffer.from(text.replace(/\s/g, ''), 'hex'));
const name = (terms: string[], bytes: Uint8Array) => textDecoding(terms)(bytes, true);

// The examples of PS3.5 annexes H, I, J and K.
describe('text by SpecificCharacterSet', () => {
  it('decodes Japanese names: ASCII, then kanji and kana by escapes (H.3.1)', () => {
    const bytes = hex(
      '59616d6164615e5461726f75 3d 1b2442 3b33 4544 1b2842 5e 1b2442 4240 4f3a 1b2842 3d 1b2442 2464 245e 2440 1b2842 5e 1b2442 243f 246d 2426 1b2842',
    );
    expect(name(['', 'ISO 2022 IR 87'], bytes)).toBe('Yamada^Tarou=山田^太郎=やまだ^たろう');
  });

  it('decodes half-width katakana and kanji (H.3.2)', () => {
    const bytes = hex('d4cfc0de5ec0dbb3 3d 1b2442 3b33 4544 1b284a 5e 1b2442 4240 4f3a 1b284a');
    expect(name(['ISO 2022 IR 13', 'ISO 2022 IR 87'], bytes)).toBe('ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎');
  });

  it('decodes Korean in the upper half, designated anew after each delimiter (I.2)', () => {
    const bytes = hex(
      '486f6e675e47696c646f6e67 3d 1b242943 fbf3 5e 1b242943 d1ce d4d7 3d 1b242943 c8ab 5e 1b242943 b1e6 b5bf',
    );
    expect(name(['', 'ISO 2022 IR 149'], bytes)).toBe('Hong^Gildong=洪^吉洞=홍^길동');
  });

  it('decodes UTF-8 and GB18030 (J.1, J.3)', () => {
    expect(name(['ISO_IR 192'], new TextEncoder().encode('Wang^XiaoDong=王^小東'))).toBe('Wang^XiaoDong=王^小東');
    expect(name(['GB18030'], hex('57616e675e5869616f446f6e67 3d cdf5 5e d0a1 b6ab'))).toBe('Wang^XiaoDong=王^小东');
  });

  it.each([
    ['ISO_IR 100', 'c4', 'Ä'],
    ['ISO_IR 101', 'b1', 'ą'],
    ['ISO_IR 144', 'bb', 'Л'],
    ['ISO_IR 126', 'c4', 'Δ'],
    ['ISO_IR 127', 'c7', 'ا'],
    ['ISO_IR 138', 'f9', 'ש'],
    ['ISO_IR 166', 'a1', 'ก'],
    ['ISO_IR 203', 'a4', '€'],
  ])('decodes the single-byte set %s', (term, bytes, expected) => {
    expect(name([term], hex(bytes))).toBe(expected);
  });

  it('switches Greek and Latin by escapes, back to the first set at a delimiter', () => {
    const bytes = hex('c4 1b2d46 c4 5e c4');
    expect(name(['ISO 2022 IR 100', 'ISO 2022 IR 126'], bytes)).toBe('ÄΔ^Ä');
  });

  it('keeps a second byte of 5C in kanji from splitting values', () => {
    // 3B5C is one kanji; 5C after the return to ASCII separates values.
    const bytes = hex('1b2442 3b5c 1b2842 5c 41');
    expect(textDecoding(['', 'ISO 2022 IR 87'])(bytes, false)).toBe('施\\A');
  });

  it('takes UTF-8 or Latin 1 for a term that no standard knows', () => {
    expect(name(['KLINGON'], new TextEncoder().encode('Ä'))).toBe('Ä');
    expect(name(['KLINGON'], hex('c4'))).toBe('Ä');
  });
});
