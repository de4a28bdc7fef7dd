import { crc32, deflateSync } from 'node:zlib';
import { encode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { readPng } from '../../../../src/formats/png/reader.ts';

const chunk = (type: string, content: Uint8Array): Buffer => {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), content]);
  const bytes = Buffer.alloc(body.length + 8);
  bytes.writeUInt32BE(content.length, 0);
  body.copy(bytes, 4);
  bytes.writeUInt32BE(crc32(body), body.length + 4);
  return bytes;
};
const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** A PNG by hand. */
function png(header: readonly number[], rows: Uint8Array, more: Buffer[] = []): Buffer {
  const [width = 1, height = 1, ...rest] = header;
  const content = Buffer.alloc(13);
  content.writeUInt32BE(width, 0);
  content.writeUInt32BE(height, 4);
  content.set(rest, 8);
  const end = chunk('IEND', new Uint8Array());
  return Buffer.concat([signature, chunk('IHDR', content), ...more, chunk('IDAT', deflateSync(rows)), end]);
}

/** A pattern that no filter makes trivial. */
const pattern = (length: number, most: number) =>
  Array.from({ length }, (_, n) => (n * n * 31 + n * 7 + (n % 13) * 5) % (most + 1));

describe('readPng', () => {
  it.each([
    [1, 8],
    [2, 8],
    [3, 8],
    [4, 8],
    [1, 16],
    [3, 16],
  ] as const)('reads %i channels of %i bits as another library wrote them', (channels, depth) => {
    const [width, height] = [13, 7];
    const values = pattern(width * height * channels, 2 ** depth - 1);
    const data = depth === 8 ? Uint8Array.from(values) : Uint16Array.from(values);
    const volumes = readPng(encode({ width, height, channels, depth, data }));
    expect(volumes).toHaveLength(channels);
    volumes.forEach((volume, c) => {
      expect(volume.shape).toEqual([width, height, 1]);
      expect([...volume.data]).toEqual(values.filter((_, n) => n % channels === c));
    });
  });

  it('undoes every filter', () => {
    // Rows 0 1 2 3 4 of two grey pixels, filtered by 0 to 4.
    const rows = [0, 10, 20, 1, 11, 10, 2, 1, 1, 3, 6, 7, 4, 5, 2];
    expect([...(readPng(png([2, 5, 8, 0, 0, 0, 0], Uint8Array.from(rows)))[0]?.data ?? [])]).toEqual([
      10, 20, 11, 21, 12, 22, 12, 24, 17, 26,
    ]);
  });

  it('resolves a palette', () => {
    const palette = chunk('PLTE', Uint8Array.of(1, 2, 3, 4, 5, 6));
    const volumes = readPng(png([2, 1, 8, 3, 0, 0, 0], Uint8Array.of(0, 1, 0), [palette]));
    expect(volumes.map(({ data }) => [...data])).toEqual([
      [4, 1],
      [5, 2],
      [6, 3],
    ]);
  });

  const grey = png([2, 1, 8, 0, 0, 0, 0], Uint8Array.of(0, 1, 2));
  it.each<[string, Buffer, RegExp]>([
    ['something else', Buffer.from('no PNG'), /signature/],
    ['a cut file', grey.subarray(0, -8), /cut short/],
    ['a flipped bit', Buffer.from(grey.map((byte, at) => (at === 45 ? byte ^ 1 : byte))), /checksum/],
    ['fewer pixels than declared', png([2, 2, 8, 0, 0, 0, 0], Uint8Array.of(0, 1, 2)), /fewer pixels/],
    ['more pixels than declared', png([2, 1, 8, 0, 0, 0, 0], new Uint8Array(50_000_000)), /more than its header/],
    ['a huge header', png([2 ** 31, 2 ** 31, 8, 0, 0, 0, 0], Uint8Array.of(0)), /too many/],
    ['no pixels', png([0, 1, 8, 0, 0, 0, 0], Uint8Array.of(0)), /header is damaged/],
    ['a colour type that is none', png([1, 1, 8, 5, 0, 0, 0], Uint8Array.of(0)), /header is damaged/],
    ['interlacing', png([1, 1, 8, 0, 0, 0, 1], Uint8Array.of(0, 0)), /interlaced/],
    ['single bits', png([8, 1, 1, 0, 0, 0, 0], Uint8Array.of(0, 0)), /1 bits/],
    ['a filter that does not exist', png([2, 1, 8, 0, 0, 0, 0], Uint8Array.of(5, 1, 2)), /rows are damaged/],
    ['a colour beyond the palette', png([1, 1, 8, 3, 0, 0, 0], Uint8Array.of(0, 9)), /palette/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => readPng(bytes)).toThrow(expect.objectContaining({ code: 'unprocessable_image' }));
    expect(() => readPng(bytes)).toThrow(message);
  });
});
