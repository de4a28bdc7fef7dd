/** Explicit little-endian Part 10 files for tests, element by element. */

type Value = string | number | readonly number[] | Uint8Array;
export type Elements = Readonly<Record<number, readonly [vr: string, value: Value]>>;

const longVrs = ['OB', 'OW', 'OF', 'UN', 'UT', 'SQ'];

function valueBytes(vr: string, value: Value): Buffer {
  if (value instanceof Uint8Array) return Buffer.from(value);
  if (typeof value === 'string') return Buffer.from(value, 'latin1');
  const numbers = typeof value === 'number' ? [value] : value;
  const bytes = Buffer.alloc(numbers.length * (vr === 'UL' ? 4 : 2));
  for (const [index, number] of numbers.entries()) {
    if (vr === 'UL') bytes.writeUInt32LE(number, index * 4);
    else if (vr === 'SS') bytes.writeInt16LE(number, index * 2);
    else bytes.writeUInt16LE(number, index * 2);
  }
  return bytes;
}

function element(tag: number, vr: string, value: Value): Buffer {
  const raw = valueBytes(vr, value);
  const pad = raw.length % 2 === 0 ? [] : [vr === 'UI' || vr === 'OB' ? 0 : 0x20];
  const bytes = Buffer.concat([raw, Buffer.from(pad)]);
  const isLong = longVrs.includes(vr);
  const header = Buffer.alloc(isLong ? 12 : 8);
  header.writeUInt16LE(tag >>> 16, 0);
  header.writeUInt16LE(tag & 0xffff, 2);
  header.write(vr, 4, 'latin1');
  if (isLong) header.writeUInt32LE(bytes.length, 8);
  else header.writeUInt16LE(bytes.length, 6);
  return Buffer.concat([header, bytes]);
}

const encode = (elements: Elements): Buffer =>
  Buffer.concat(
    Object.entries(elements)
      .map(([tag, [vr, value]]) => ({ tag: Number(tag), vr, value }))
      .sort((a, b) => a.tag - b.tag)
      .map(({ tag, vr, value }) => element(tag, vr, value)),
  );

/** A Part 10 file. @param transferSyntaxUid - null leaves the element out */
export function part10(elements: Elements, transferSyntaxUid: string | null = '1.2.840.10008.1.2.1'): Buffer {
  const meta = encode({
    131073: ['OB', Uint8Array.of(0, 1)],
    ...(transferSyntaxUid === null ? {} : { 131088: ['UI', transferSyntaxUid] }),
  });
  const length = element(0x00020000, 'UL', meta.length);
  return Buffer.concat([Buffer.alloc(128), Buffer.from('DICM'), length, meta, encode(elements)]);
}

/** Elements of a small CT slice (16-bit signed); `change` adds or replaces. */
export function ctSlice(number: number, change: Elements = {}): Elements {
  const pixels = Int16Array.from({ length: 64 * 48 }, (_, index) => ((index * 31 + number * 977) % 2000) - 1000);
  return {
    524310: ['UI', '1.2.840.10008.5.1.4.1.1.2'],
    524312: ['UI', `2.25.1000.3.${number}`],
    524320: ['DA', '20240115'],
    524384: ['CS', 'CT'],
    1048592: ['PN', 'Test^Patient'],
    1048608: ['LO', 'TEST-1'],
    2097165: ['UI', '2.25.1000'],
    2097166: ['UI', '2.25.1000.2'],
    2097169: ['IS', '1'],
    2097171: ['IS', String(number)],
    2621442: ['US', 1],
    2621444: ['CS', 'MONOCHROME2'],
    2621456: ['US', 48],
    2621457: ['US', 64],
    2621696: ['US', 16],
    2621697: ['US', 16],
    2621698: ['US', 15],
    2621699: ['US', 1],
    2145386512: ['OW', new Uint8Array(pixels.buffer)],
    ...change,
  };
}
