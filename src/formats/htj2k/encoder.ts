import { EndpointError } from '../../errors.ts';
import { openJph } from './openjph.ts';

/** Layout of the frame to encode: interleaved samples, little-endian, `width × height × samplesPerPixel`. */
export interface Htj2kFrameInfo {
  readonly width: number;
  readonly height: number;
  readonly bitsAllocated: 8 | 16;
  readonly samplesPerPixel: 1 | 3;
  readonly signed: boolean;
  /** Precision to declare (default: bitsAllocated). Every sample must fit in it: higher bits would be lost. */
  readonly bitsStored?: number;
}

const RPCL = 2;
/** PS3.5 §10.18: the lowest resolution of a …4.202 stream has a width or height of at most this. */
const LOWEST_RESOLUTION = 64;

/** Wavelet levels so that the smaller side of the lowest resolution is at most 64 pixels. */
export function decompositionsFor(width: number, height: number): number {
  let levels = 0;
  for (let side = Math.min(width, height); side > LOWEST_RESOLUTION; side = Math.ceil(side / 2)) levels++;
  return levels;
}

/**
 * True when the encoder is exact for the layout. Three components of more than 8 bits it gets wrong; signed bytes it
 * takes for unsigned ones but declares signed, which only its own decoder reads back (OpenJPEG clips them at 127).
 */
export const canEncodeHtj2k = (info: { bitsAllocated: number; samplesPerPixel: number; signed: boolean }): boolean =>
  (info.bitsAllocated === 8 && !info.signed && (info.samplesPerPixel === 1 || info.samplesPerPixel === 3)) ||
  (info.bitsAllocated === 16 && info.samplesPerPixel === 1);

function words(pixels: Uint8Array): Uint16Array {
  const { buffer, byteOffset, length } = pixels.byteOffset % 2 === 0 ? pixels : new Uint8Array(pixels);
  return new Uint16Array(buffer, byteOffset, length >> 1);
}

function assertFits(pixels: Uint8Array, info: Htj2kFrameInfo, bits: number): void {
  if (bits === info.bitsAllocated) return;
  const samples = info.bitsAllocated === 16 ? words(pixels) : pixels;
  const shift = 32 - info.bitsAllocated;
  const low = info.signed ? -(2 ** (bits - 1)) : 0;
  const high = low + 2 ** bits - 1;
  let least = 0;
  let greatest = 0;
  for (let at = 0; at < samples.length; at++) {
    const raw = samples[at] as number;
    const sample = info.signed ? (raw << shift) >> shift : raw;
    if (sample < least) least = sample;
    if (sample > greatest) greatest = sample;
  }
  if (least < low || greatest > high) {
    throw new EndpointError('unprocessable_image', `A pixel lies outside the ${bits} bits that the image declares.`);
  }
}

/**
 * Encodes a frame as lossless HTJ2K for transfer syntax …4.202 (PS3.5 §10.18): RPCL progression, TLM marker, tile
 * parts by resolution, lowest resolution of at most 64 pixels. Low resolutions are clipped to the declared range, so
 * `signed` must be what PixelRepresentation says.
 *
 * @throws EndpointError `unprocessable_image` when the pixels have another length than the layout, do not fit in
 *   `bitsStored`, or the layout is one that cannot be encoded exactly ({@link canEncodeHtj2k})
 */
export async function encodeHtj2k(pixels: Uint8Array, info: Htj2kFrameInfo): Promise<Uint8Array> {
  const { width, height, bitsAllocated, samplesPerPixel, signed } = info;
  const expected = (width * height * samplesPerPixel * bitsAllocated) / 8;
  if (pixels.length !== expected || expected === 0) {
    throw new EndpointError(
      'unprocessable_image',
      `The frame has ${pixels.length} bytes, its layout needs ${expected}.`,
    );
  }
  if (!canEncodeHtj2k(info)) {
    throw new EndpointError(
      'unprocessable_image',
      `HTJ2K cannot keep ${samplesPerPixel} ${signed ? 'signed ' : ''}samples of ${bitsAllocated} bits exactly; keep the frame as it is.`,
    );
  }
  const bitsPerSample = info.bitsStored ?? bitsAllocated;
  assertFits(pixels, info, bitsPerSample);
  const { HTJ2KEncoder } = await openJph();
  const encoder = new HTJ2KEncoder();
  try {
    encoder
      .getDecodedBuffer({
        width,
        height,
        bitsPerSample,
        componentCount: samplesPerPixel,
        isSigned: signed,
        isUsingColorTransform: samplesPerPixel === 3,
      })
      .set(pixels);
    encoder.setQuality(true, 0);
    encoder.setProgressionOrder(RPCL);
    // Without a wavelet level the encoder loses the least value (0 of unsigned, -32768 of signed 16 bits).
    encoder.setDecompositions(Math.max(decompositionsFor(width, height), 1));
    encoder.setTLMMarker(true);
    encoder.setTilePartDivisionsAtResolutions(true);
    encoder.encode();
    const encoded = encoder.getEncodedBuffer().slice();
    if (encoded.length === 0) throw new EndpointError('internal', 'The HTJ2K encoder gave no bytes.');
    return encoded;
  } finally {
    encoder.delete();
  }
}
