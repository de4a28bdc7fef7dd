import { frameBits, type ImagePixelFormat } from '../../formats/dicom/image-pixel.ts';

/**
 * Native pixel data of frames. Frames of single bits follow each other without padding (PS3.5 §8.1.1): a frame may
 * begin in the middle of a byte.
 */
export function packFrames(frames: readonly Uint8Array[], format: ImagePixelFormat): Uint8Array {
  const bits = frameBits(format);
  if (bits % 8 === 0 || frames.length === 1) return Buffer.concat(frames);
  const packed = new Uint8Array(Math.ceil((bits * frames.length) / 8));
  for (const [number, frame] of frames.entries()) {
    const start = number * bits;
    for (let bit = 0; bit < bits; bit++) {
      if (((frame[bit >> 3] as number) >> (bit & 7)) & 1) {
        const at = start + bit;
        packed[at >> 3] = (packed[at >> 3] as number) | (1 << (at & 7));
      }
    }
  }
  return packed;
}

const item = (element: number, length: number): Buffer => {
  const header = Buffer.alloc(8);
  header.writeUInt16LE(0xfffe, 0);
  header.writeUInt16LE(element, 2);
  header.writeUInt32LE(length, 4);
  return header;
};

/**
 * Puts encapsulated pixel data behind a Part 10 file that has none: an empty offset table, one fragment a frame
 * (PS3.5 annex A.4).
 */
export function encapsulate(file: Uint8Array, frames: readonly Uint8Array[]): Uint8Array {
  const header = Buffer.from([0xe0, 0x7f, 0x10, 0x00, 0x4f, 0x42, 0, 0, 0xff, 0xff, 0xff, 0xff]);
  const fragments = frames.flatMap((frame) => {
    const padding = frame.length % 2;
    return [item(0xe000, frame.length + padding), frame, new Uint8Array(padding)];
  });
  return Buffer.concat([file, header, item(0xe000, 0), ...fragments, item(0xe0dd, 0)]);
}
