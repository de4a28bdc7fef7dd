import { frameBytes, type ImagePixelFormat } from './image-pixel.ts';
import { unprocessable } from './unprocessable.ts';

/** Unpacks one PackBits segment (PS3.5 G.3) to exactly `length` bytes, each written `stride` apart from `start` on. */
function unpackSegment(segment: Uint8Array, out: Uint8Array, start: number, stride: number, length: number): void {
  let written = 0;
  let at = 0;
  while (written < length) {
    const control = segment[at++];
    if (control === undefined) throw unprocessable('An RLE segment of the frame is cut short.');
    if (control === 128) continue;
    const isRun = control > 128;
    const count = isRun ? 257 - control : control + 1;
    if (at + (isRun ? 1 : count) > segment.length || written + count > length) {
      throw unprocessable('An RLE segment of the frame is damaged.');
    }
    for (let n = 0; n < count; n++) {
      out[start + (written + n) * stride] = segment[isRun ? at : at + n] as number;
    }
    written += count;
    at += isRun ? 1 : count;
  }
}

/**
 * Decodes an RLE frame (PS3.5 annex G): a segment for each byte of each sample, most significant byte first. Gives
 * interleaved little-endian pixels.
 */
export function decodeRle(bytes: Uint8Array, format: ImagePixelFormat): Uint8Array {
  const { rows, columns, samplesPerPixel, bitsAllocated } = format;
  const bytesPerSample = bitsAllocated / 8;
  if (bitsAllocated < 8) throw unprocessable('RLE frames of single bits are not supported.');
  const segmentCount = samplesPerPixel * bytesPerSample;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 64 || view.getUint32(0, true) !== segmentCount) {
    throw unprocessable(`The RLE frame must have ${segmentCount} segments.`);
  }
  const offsets = Array.from({ length: segmentCount }, (_, segment) => view.getUint32(4 + segment * 4, true));
  const out = new Uint8Array(frameBytes(format));
  const stride = samplesPerPixel * bytesPerSample;
  offsets.forEach((offset, segment) => {
    const end = offsets[segment + 1] ?? bytes.length;
    if (offset < 64 || end < offset || end > bytes.length)
      throw unprocessable('The RLE frame has a bad segment offset.');
    const sample = Math.floor(segment / bytesPerSample);
    const significance = bytesPerSample - 1 - (segment % bytesPerSample);
    unpackSegment(bytes.subarray(offset, end), out, sample * bytesPerSample + significance, stride, rows * columns);
  });
  return out;
}
