/** Hand-made DICOM bytes for reader tests, so that they depend on no writer. */

export interface ByteOptions {
  readonly explicit?: boolean;
  readonly littleEndian?: boolean;
}

const longVrs = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV']);

function word16(value: number, littleEndian: boolean): Buffer {
  const bytes = Buffer.alloc(2);
  if (littleEndian) bytes.writeUInt16LE(value);
  else bytes.writeUInt16BE(value);
  return bytes;
}

function word32(value: number, littleEndian: boolean): Buffer {
  const bytes = Buffer.alloc(4);
  if (littleEndian) bytes.writeUInt32LE(value >>> 0);
  else bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

const tagBytes = (tag: number, littleEndian: boolean): Buffer =>
  Buffer.concat([word16(tag >>> 16, littleEndian), word16(tag & 0xffff, littleEndian)]);

/** One element; `value` as text or bytes; `length` overrides the true one (`0xffffffff`: undefined). */
export function element(
  tag: number,
  vr: string,
  value: string | Uint8Array,
  { explicit = true, littleEndian = true, length }: ByteOptions & { readonly length?: number } = {},
): Buffer {
  const raw = typeof value === 'string' ? Buffer.from(value, 'latin1') : Buffer.from(value);
  const padded = raw.length % 2 === 0 ? raw : Buffer.concat([raw, Buffer.from(vr === 'UI' ? '\0' : ' ')]);
  const size = length ?? padded.length;
  const head = !explicit
    ? word32(size, littleEndian)
    : longVrs.has(vr)
      ? Buffer.concat([Buffer.from(`${vr}\0\0`, 'latin1'), word32(size, littleEndian)])
      : Buffer.concat([Buffer.from(vr, 'latin1'), word16(size, littleEndian)]);
  return Buffer.concat([tagBytes(tag, littleEndian), head, padded]);
}

export const us = (tag: number, value: number, options: ByteOptions = {}): Buffer =>
  element(tag, 'US', word16(value, options.littleEndian ?? true), options);

/** An item with its length, or of undefined length with its delimiter. */
export function item(content: Uint8Array, { littleEndian = true, delimited = false } = {}): Buffer {
  const head = [tagBytes(0xfffee000, littleEndian), word32(delimited ? 0xffffffff : content.length, littleEndian)];
  const tail = delimited ? [tagBytes(0xfffee00d, littleEndian), word32(0, littleEndian)] : [];
  return Buffer.concat([...head, content, ...tail]);
}

/** `(FFFE,E0DD)`, the end of a sequence or of encapsulated pixel data. */
export const sequenceEnd = Buffer.from('feffdde000000000', 'hex');

/** Preamble, prefix and file meta group for a transfer syntax, before the body. */
export function part10(transferSyntaxUid: string, ...body: Uint8Array[]): Buffer {
  return Buffer.concat([
    Buffer.alloc(128),
    Buffer.from('DICM'),
    element(0x00020002, 'UI', '1.2.840.10008.5.1.4.1.1.2'),
    element(0x00020010, 'UI', transferSyntaxUid),
    ...body,
  ]);
}

/** Image Pixel attributes of a monochrome image. */
export function imagePixel(rows: number, columns: number, bits: number, frames = 1): Buffer {
  return Buffer.concat([
    us(0x00280002, 1),
    element(0x00280004, 'CS', 'MONOCHROME2'),
    element(0x00280008, 'IS', String(frames)),
    us(0x00280010, rows),
    us(0x00280011, columns),
    us(0x00280100, bits),
    us(0x00280101, bits),
    us(0x00280102, bits - 1),
    us(0x00280103, 0),
  ]);
}
