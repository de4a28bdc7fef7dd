import type { ImagePixelFormat } from '../../formats/dicom/image-pixel.ts';

export interface ValueRange {
  readonly min: number;
  readonly max: number;
  /** False when a container holds more than BitsStored bits say (overlays of old objects, or wrong attributes). */
  readonly fitsBitsStored: boolean;
}

/**
 * Least and greatest stored value of a decoded frame (all samples), before any rescale. Bits above BitsStored are no
 * part of a value. NaN is passed over; a frame of NaN alone gives 0.
 */
export function valueRange(pixels: Uint8Array, format: ImagePixelFormat, isFloat: boolean): ValueRange {
  if (format.bitsAllocated === 1) return bitRange(pixels, format);
  const samples = typedSamples(pixels, format, isFloat);
  const { bitsAllocated, bitsStored } = format;
  const unused = isFloat || bitsAllocated === bitsStored || bitsAllocated > 32 ? 0 : 32 - bitsStored;
  const signed = format.pixelRepresentation === 1;
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  let fitsBitsStored = true;
  for (let at = 0; at < samples.length; at++) {
    const raw = samples[at] as number;
    let value = raw;
    if (unused !== 0) {
      value = signed ? (raw << unused) >> unused : (raw << unused) >>> unused;
      if (value !== raw) fitsBitsStored = false;
    }
    if (value < min) min = value;
    if (value > max) max = value;
  }
  return min > max ? { min: 0, max: 0, fitsBitsStored } : { min, max, fitsBitsStored };
}

function typedSamples(pixels: Uint8Array, format: ImagePixelFormat, isFloat: boolean): ArrayLike<number> {
  const bytes = format.bitsAllocated / 8;
  const { buffer, byteOffset, length } = pixels.byteOffset % bytes === 0 ? pixels : pixels.slice();
  const count = Math.floor(length / bytes);
  const signed = format.pixelRepresentation === 1;
  if (isFloat) {
    return bytes === 4 ? new Float32Array(buffer, byteOffset, count) : new Float64Array(buffer, byteOffset, count);
  }
  switch (bytes) {
    case 1:
      return signed ? new Int8Array(buffer, byteOffset, count) : new Uint8Array(buffer, byteOffset, count);
    case 2:
      return signed ? new Int16Array(buffer, byteOffset, count) : new Uint16Array(buffer, byteOffset, count);
    case 4:
      return signed ? new Int32Array(buffer, byteOffset, count) : new Uint32Array(buffer, byteOffset, count);
    default: {
      const big = signed ? new BigInt64Array(buffer, byteOffset, count) : new BigUint64Array(buffer, byteOffset, count);
      return Array.from(big, Number);
    }
  }
}

/** Of packed single bits: 0 when a bit is clear, 1 when one is set. */
function bitRange(packed: Uint8Array, format: ImagePixelFormat): ValueRange {
  const bits = format.rows * format.columns * format.samplesPerPixel;
  let set = 0;
  for (let bit = 0; bit < bits; bit++) set += ((packed[bit >>> 3] as number) >>> (bit & 7)) & 1;
  return { min: set === bits ? 1 : 0, max: set > 0 ? 1 : 0, fitsBitsStored: true };
}
