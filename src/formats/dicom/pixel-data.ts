import { frameBits, type ImagePixelFormat } from './image-pixel.ts';
import { unprocessable } from './unprocessable.ts';

/** A value of PixelData as a file holds it. */
export interface PixelDataValue {
  readonly bytes: Uint8Array;
  readonly vr: 'OB' | 'OW';
  /** `bytes` are items up to the sequence delimiter (PS3.5 A.4); the element's length is then undefined. */
  readonly encapsulated?: boolean;
}

/** What a basic offset table can point at (PS3.5 A.4): beyond it stays empty, which readers must take as well. */
const maxOffset = 0xffffffff;

/**
 * Encapsulated pixel data: one fragment a frame behind a basic offset table. RLE allows no other form, and every
 * reader understands this one.
 */
export function encapsulate(frames: readonly Uint8Array[]): PixelDataValue {
  const lengths = frames.map(({ length }) => length + (length % 2));
  const offsets: number[] = [];
  let end = 0;
  for (const length of lengths) {
    offsets.push(end);
    end += 8 + length;
  }
  const tableBytes = (offsets.at(-1) ?? 0) > maxOffset ? 0 : offsets.length * 4;
  const total = 8 + tableBytes + end + 8;
  const bytes = Buffer.alloc(total);
  let at = 0;
  const item = (tag: number, length: number) => {
    bytes.writeUInt16LE(0xfffe, at);
    bytes.writeUInt16LE(tag, at + 2);
    bytes.writeUInt32LE(length, at + 4);
    at += 8;
  };
  item(0xe000, tableBytes);
  if (tableBytes > 0) for (const offset of offsets) at = bytes.writeUInt32LE(offset, at);
  for (const [index, frame] of frames.entries()) {
    item(0xe000, lengths[index] as number);
    bytes.set(frame, at);
    at += lengths[index] as number;
  }
  item(0xe0dd, 0);
  return { bytes, vr: 'OB', encapsulated: true };
}

/**
 * Native pixel data: the frames one after the other. Frames of single bits follow each other without padding
 * (PS3.5 §8.1.1), so all but the first may start inside a byte.
 *
 * @param frames - raw little-endian pixels, each packed from its own first bit
 */
export function joinFrames(frames: readonly Uint8Array[], format: ImagePixelFormat): PixelDataValue {
  const vr = format.bitsAllocated > 8 ? 'OW' : 'OB';
  const bits = frameBits(format);
  if (bits % 8 === 0 || frames.length === 1) return { bytes: Buffer.concat(frames), vr };
  const bytes = new Uint8Array(Math.ceil((bits * frames.length) / 8));
  for (const [index, frame] of frames.entries()) {
    if (frame.length * 8 < bits) throw unprocessable(`Frame ${index + 1} holds fewer bits than the image declares.`);
    const first = Math.floor((index * bits) / 8);
    const shift = (index * bits) % 8;
    const tail = bits % 8;
    for (let at = 0; at < Math.ceil(bits / 8); at++) {
      const isLast = at === Math.ceil(bits / 8) - 1;
      const byte = (frame[at] as number) & (isLast && tail !== 0 ? (1 << tail) - 1 : 0xff);
      bytes[first + at] = (bytes[first + at] as number) | (byte << shift);
      if (shift !== 0 && first + at + 1 < bytes.length) {
        bytes[first + at + 1] = (bytes[first + at + 1] as number) | (byte >>> (8 - shift));
      }
    }
  }
  return { bytes, vr };
}
