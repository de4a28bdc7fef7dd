import { describe, expect, it } from 'vitest';
import { readPart10 } from '../../../../src/formats/dicom/part10-reader.ts';
import { transferSyntax } from '../../../../src/formats/dicom/transfer-syntax.ts';
import { element, imagePixel, item, part10, sequenceEnd, us } from '../../../support/dicom-bytes.ts';

const native = (rows: number, columns: number, bits: number, frames: number, pixels: Uint8Array) =>
  readPart10(
    part10(
      transferSyntax.explicitLittleEndian,
      imagePixel(rows, columns, bits, frames),
      element(0x7fe00010, 'OB', pixels),
    ),
  );

const encapsulated = (frames: number, items: Uint8Array[], extra: Uint8Array[] = []) =>
  readPart10(
    part10(
      transferSyntax.jpeg2000Lossless,
      imagePixel(4, 4, 8, frames),
      ...extra,
      element(0x7fe00010, 'OB', Buffer.concat([...items.map((each) => item(each)), sequenceEnd]), {
        length: 0xffffffff,
      }),
    ),
  );

const offsets = (...values: number[]) => Buffer.from(Uint32Array.from(values).buffer);
const texts = (file: ReturnType<typeof readPart10>) =>
  Array.from({ length: file.numberOfFrames }, (_, index) => Buffer.from(file.frame(index)).toString('latin1'));

describe('native frames', () => {
  it('are slices of the pixel data, without a copy', () => {
    const file = native(
      2,
      2,
      8,
      3,
      Uint8Array.from({ length: 12 }, (_, at) => at),
    );
    expect([...file.frame(2)]).toEqual([8, 9, 10, 11]);
    expect(file.frame(0).buffer).toBe(file.frame(2).buffer);
    expect(() => file.frame(3)).toThrow(/no frame 4/);
  });

  it('of single bits are taken out of a continuous bit stream', () => {
    // 3×3 = 9 bits a frame: the second starts at bit 9, the third at bit 18.
    const bits = [1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    const packed = new Uint8Array(4);
    bits.forEach((bit, at) => {
      packed[at >> 3] = (packed[at >> 3] as number) | (bit << (at & 7));
    });
    const file = native(3, 3, 1, 3, packed);
    expect([...file.frame(0)]).toEqual([0b00000001, 1]);
    expect([...file.frame(1)]).toEqual([0b00000010, 1]);
    expect([...file.frame(2)]).toEqual([0b11111111, 1]);
  });

  it('of a big-endian object are swapped', () => {
    const big = { littleEndian: false };
    const attributes = [
      us(0x00280002, 1, big),
      us(0x00280010, 1, big),
      us(0x00280011, 2, big),
      us(0x00280100, 16, big),
      us(0x00280101, 16, big),
      us(0x00280103, 0, big),
    ];
    const file = readPart10(
      part10(transferSyntax.explicitBigEndian, ...attributes, element(0x7fe00010, 'OW', '0123', big)),
    );
    expect(Buffer.from(file.frame(0)).toString()).toBe('1032');
  });

  it('that are too few or too many are refused', () => {
    expect(() => native(2, 2, 8, 2, new Uint8Array(6)).frame(0)).toThrow(/hold 6 bytes, 8 are needed/);
    expect(() => native(2, 2, 8, 1, new Uint8Array(12)).frame(0)).toThrow(/only 4 belong/);
  });
});

describe('encapsulated frames', () => {
  const a = Buffer.from('aaaa');
  const b = Buffer.from('bb');
  const c = Buffer.from('cccccc');

  it('are grouped by the basic offset table', () => {
    expect(texts(encapsulated(2, [offsets(0, 22), a, b, c]))).toEqual(['aaaabb', 'cccccc']);
  });

  it('are grouped by the extended offset table', () => {
    const table = Buffer.from(BigUint64Array.from([0n, 12n]).buffer);
    const extra = [
      element(0x7fe00001, 'OV', table),
      element(0x7fe00002, 'OV', Buffer.from(BigUint64Array.from([4n, 2n]).buffer)),
    ];
    expect(texts(encapsulated(2, [Buffer.alloc(0), a, b], extra))).toEqual(['aaaa', 'bb']);
  });

  it('without a table are one fragment each, or all fragments of the only frame', () => {
    expect(texts(encapsulated(3, [Buffer.alloc(0), a, b, c]))).toEqual(['aaaa', 'bb', 'cccccc']);
    expect(texts(encapsulated(1, [Buffer.alloc(0), a, b, c]))).toEqual(['aaaabbcccccc']);
  });

  it('without a table are told apart by the end marks of their codestreams', () => {
    const end = Buffer.from('xx\xff\xd9', 'latin1');
    expect(texts(encapsulated(2, [Buffer.alloc(0), a, end, b, end]))).toEqual(['aaaaxx\xff\xd9', 'bbxx\xff\xd9']);
  });

  it('that cannot be shared out are refused', () => {
    expect(() => encapsulated(2, [Buffer.alloc(0), a, b, c]).frame(0)).toThrow(/3 fragments .* 2 frames/);
    expect(() => encapsulated(2, [offsets(0, 13), a, b]).frame(0)).toThrow(/points beside/);
    expect(() => encapsulated(3, [offsets(0, 12), a, b, c]).frame(0)).toThrow(/lists 2 frames/);
    expect(() => encapsulated(4, [Buffer.alloc(0), a]).frame(0)).toThrow(/1 fragments for 4 frames/);
  });
});
