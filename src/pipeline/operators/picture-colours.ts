import { EndpointError } from '../../errors.ts';
import type { ImagePixelFormat } from '../../formats/dicom/image-pixel.ts';

/**
 * Red, green and blue of a decoded colour frame, a plane each.
 *
 * @param pixels - interleaved
 * @throws EndpointError `unprocessable_image`: another colour space or depth
 */
export function toRgb(pixels: Uint8Array, format: ImagePixelFormat, uid: string): Uint8Array[] {
  const { rows, columns, samplesPerPixel, bitsAllocated, bitsStored, photometricInterpretation } = format;
  if (samplesPerPixel !== 3) throw bad(uid, `has ${samplesPerPixel} samples a pixel; 1 and 3 are read`);
  if (bitsAllocated !== 8 || bitsStored !== 8) throw bad(uid, `has colours of ${bitsStored} bits; 8 are read`);
  const count = rows * columns;
  const planes = [0, 1, 2].map(() => new Uint8Array(new SharedArrayBuffer(count)));
  const [red, green, blue] = planes as [Uint8Array, Uint8Array, Uint8Array];
  if (photometricInterpretation !== 'RGB' && photometricInterpretation !== 'YBR_FULL')
    throw bad(uid, `is ${photometricInterpretation}; RGB and YBR_FULL are read`);
  for (let at = 0; at < count; at++) {
    const [a, b, c] = [pixels[at * 3] as number, pixels[at * 3 + 1] as number, pixels[at * 3 + 2] as number];
    if (photometricInterpretation === 'RGB') {
      red[at] = a;
      green[at] = b;
      blue[at] = c;
      continue;
    }
    // The inverse of PS3.3 C.7.6.3.1.2.
    red[at] = byte(a + 1.402 * (c - 128));
    green[at] = byte(a - 0.344136 * (b - 128) - 0.714136 * (c - 128));
    blue[at] = byte(a + 1.772 * (b - 128));
  }
  return planes;
}

const byte = (value: number): number => Math.min(255, Math.max(0, Math.round(value)));

const bad = (uid: string, what: string): EndpointError =>
  new EndpointError('unprocessable_image', `Instance ${uid} ${what}.`);
