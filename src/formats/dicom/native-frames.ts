import { swapWords } from './element-values.ts';
import { frameBits, type ImagePixelFormat } from './image-pixel.ts';
import { unprocessable } from './unprocessable.ts';

/** Bytes of a word of native pixel data, as a big-endian object has swapped it. */
function wordSize(vr: string, bitsAllocated: number): number {
  if (bitsAllocated > 8) return bitsAllocated / 8;
  return vr === 'OW' ? 2 : 1;
}

/** Bits `start` to `start + count` of a bit stream (least significant first), moved to the front of new bytes. */
function bitRange(bytes: Uint8Array, start: number, count: number): Uint8Array {
  const out = new Uint8Array(Math.ceil(count / 8));
  const shift = start % 8;
  const first = Math.floor(start / 8);
  for (let at = 0; at < out.length; at++) {
    const low = (bytes[first + at] ?? 0) >>> shift;
    const high = shift === 0 ? 0 : (bytes[first + at + 1] ?? 0) << (8 - shift);
    out[at] = low | high;
  }
  const tail = count % 8;
  if (tail !== 0) out[out.length - 1] = (out[out.length - 1] as number) & ((1 << tail) - 1);
  return out;
}

/**
 * Shares out native pixel data to frames. Frames of single bits follow each other without padding (PS3.5 §8.1.1), so
 * one may start inside a byte; each comes out packed from its own first bit, least significant bit first.
 *
 * @returns a function that gives the little-endian bytes of a frame (a view where nothing had to be moved)
 */
export function nativeFrames(
  data: Uint8Array,
  vr: string,
  littleEndian: boolean,
  format: ImagePixelFormat,
  numberOfFrames: number,
): (index: number) => Uint8Array {
  // In 4:2:2 two pixels share their colour samples (PS3.3 C.7.6.3.1.2).
  const subsampled =
    format.photometricInterpretation === 'YBR_FULL_422' || format.photometricInterpretation === 'YBR_PARTIAL_422';
  const bits = subsampled ? (frameBits(format) * 2) / 3 : frameBits(format);
  const expectedBytes = Math.ceil((bits * numberOfFrames) / 8);
  if (data.length < expectedBytes) {
    throw unprocessable(
      `The pixel data hold ${data.length} bytes, ${expectedBytes} are needed for ${numberOfFrames} frames.`,
    );
  }
  // Some padding is common; a whole frame more means that the header doesn't tell the truth.
  if (data.length - expectedBytes >= Math.max(2, bits / 8)) {
    throw unprocessable(
      `The pixel data hold ${data.length} bytes, only ${expectedBytes} belong to ${numberOfFrames} frames.`,
    );
  }
  const word = littleEndian ? 1 : wordSize(vr, format.bitsAllocated);
  if (bits % 8 !== 0) {
    const stream = word > 1 ? swapWords(data, word) : data;
    return (index) => bitRange(stream, index * bits, bits);
  }
  const size = bits / 8;
  if (word > 1 && size % word !== 0) {
    const swapped = swapWords(data, word);
    return (index) => swapped.subarray(index * size, (index + 1) * size);
  }
  return (index) => {
    const frame = data.subarray(index * size, (index + 1) * size);
    return word > 1 ? swapWords(frame, word) : frame;
  };
}
