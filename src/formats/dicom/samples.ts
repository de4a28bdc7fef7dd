import type { ImagePixelFormat } from './image-pixel.ts';
import { unprocessable } from './unprocessable.ts';

/**
 * Brings samples as a codec gives them to the layout that the image declares: widened to BitsAllocated, and with the
 * sign of PixelRepresentation. A codestream may declare 12 bits unsigned in an image that says 16 bits signed: the sign
 * is then extended from the codestream's own precision, as other readers do.
 *
 * @param precision - bits per sample of the codestream
 * @param signed - sign of the codestream, where it tells
 */
export function fitSamples(
  decoded: Uint8Array,
  precision: number,
  signed: boolean | undefined,
  format: ImagePixelFormat,
): Uint8Array {
  const { bitsAllocated, pixelRepresentation } = format;
  const wantsSigned = pixelRepresentation === 1;
  const inBytes = precision > 8 ? 2 : 1;
  const sameWidth = inBytes * 8 === bitsAllocated;
  const sameSign = signed === wantsSigned || (precision === bitsAllocated && sameWidth);
  if (sameWidth && sameSign) return decoded;
  if (inBytes * 8 > bitsAllocated) {
    throw unprocessable(`The codestream has ${precision} bits a sample, the image allocates ${bitsAllocated}.`);
  }
  const shift = 32 - precision;
  const from = inBytes === 2 ? new Uint16Array(new Uint8Array(decoded).buffer) : decoded;
  const extend = (raw: number): number => (wantsSigned ? (raw << shift) >> shift : (raw << shift) >>> shift);
  const out =
    bitsAllocated === 8
      ? new Int8Array(from.length)
      : new (bitsAllocated === 16 ? Int16Array : Int32Array)(from.length);
  for (let at = 0; at < from.length; at++) out[at] = extend(from[at] as number);
  return new Uint8Array(out.buffer);
}

/** Turns planes (RRR…GGG…BBB…) into interleaved samples (RGBRGB…). */
export function interleavePlanes(planes: Uint8Array, samplesPerPixel: number, bytesPerSample: number): Uint8Array {
  const pixels = planes.length / (samplesPerPixel * bytesPerSample);
  const out = new Uint8Array(planes.length);
  for (let sample = 0; sample < samplesPerPixel; sample++) {
    for (let pixel = 0; pixel < pixels; pixel++) {
      const from = (sample * pixels + pixel) * bytesPerSample;
      const to = (pixel * samplesPerPixel + sample) * bytesPerSample;
      for (let byte = 0; byte < bytesPerSample; byte++) out[to + byte] = planes[from + byte] as number;
    }
  }
  return out;
}
