import { EndpointError } from '../../errors.ts';
import { discardOpenJph, type OpenJphDecoder, openJph } from './openjph.ts';

/** What the codestream's header must declare; checked before anything of its size is allocated. */
export interface Htj2kExpectation {
  readonly width: number;
  readonly height: number;
  readonly samplesPerPixel: number;
  readonly bitsAllocated: number;
}

export interface DecodedHtj2k {
  /** Interleaved little-endian samples of 8 or 16 bits (1 or 2 bytes each, by `bitsPerSample`). */
  readonly pixels: Uint8Array;
  /** Size at the asked resolution level. */
  readonly width: number;
  readonly height: number;
  readonly samplesPerPixel: number;
  /** Precision and sign as the codestream declares them. */
  readonly bitsPerSample: number;
  readonly signed: boolean;
  /** Wavelet levels of the stream: `resolutionLevel` may go up to this. */
  readonly decompositions: number;
}

/** A frame beyond this is refused unless the caller expected it. */
const MAX_PIXELS = 65_535 * 65_535;

const damaged = (message: string): EndpointError => new EndpointError('unprocessable_image', message);

/**
 * Decodes an HTJ2K codestream.
 *
 * The codec neither notices a cut stream nor a flipped bit: whoever knows the CRC-32 of the frame must check it.
 *
 * @param resolutionLevel - 0 for full size, each level above halves both sides
 * @param expected - refuse a codestream that declares anything else
 * @throws EndpointError `unprocessable_image`
 */
export const decodeHtj2k = (
  bytes: Uint8Array,
  resolutionLevel = 0,
  expected?: Htj2kExpectation,
): Promise<DecodedHtj2k> =>
  useDecodedHtj2k(bytes, resolutionLevel, expected, (decoded) => ({ ...decoded, pixels: decoded.pixels.slice() }));

/**
 * {@link decodeHtj2k} without the copy: `use` gets the pixels where the codec wrote them. They are gone when it returns,
 * so it must be done with them by then, and must not decode or encode anything meanwhile.
 *
 * @throws EndpointError `unprocessable_image`; what `use` throws
 */
export async function useDecodedHtj2k<T>(
  bytes: Uint8Array,
  resolutionLevel: number,
  expected: Htj2kExpectation | undefined,
  use: (decoded: DecodedHtj2k) => T,
): Promise<T> {
  const { HTJ2KDecoder } = await openJph();
  const decoder = new HTJ2KDecoder();
  try {
    decoder.getEncodedBuffer(bytes.length).set(bytes);
    decoder.readHeader();
    if (!decoder.getIsHeaderValid()) throw damaged('The frame is no readable HTJ2K codestream.');
    const info = decoder.getFrameInfo();
    const bytesPerSample = info.bitsPerSample > 8 ? 2 : 1;
    if (expected && !matches(info, bytesPerSample * 8, expected)) {
      throw damaged(
        `The HTJ2K codestream declares ${info.width}×${info.height}×${info.componentCount} of ${info.bitsPerSample} bits, ` +
          `the image ${expected.width}×${expected.height}×${expected.samplesPerPixel} of ${expected.bitsAllocated}.`,
      );
    }
    // The codec gives signed bytes as if they were unsigned.
    if (info.isSigned && info.bitsPerSample <= 8) throw damaged('HTJ2K of signed 8-bit samples cannot be decoded.');
    if (info.bitsPerSample > 16 || info.width * info.height > MAX_PIXELS) {
      throw damaged('The HTJ2K codestream declares more pixels or bits than can be decoded.');
    }
    const decompositions = decoder.getNumDecompositions();
    if (resolutionLevel > decompositions) {
      throw damaged(`The HTJ2K codestream has resolution levels 0 to ${decompositions}, not ${resolutionLevel}.`);
    }
    const { width, height } = decoder.calculateSizeAtDecompositionLevel(resolutionLevel);
    decoder.decodeSubResolution(resolutionLevel);
    const pixels = decoder.getDecodedBuffer();
    if (pixels.length !== width * height * info.componentCount * bytesPerSample) {
      throw damaged('The HTJ2K codestream decodes to another size than it declares.');
    }
    return use({
      pixels,
      width,
      height,
      samplesPerPixel: info.componentCount,
      bitsPerSample: info.bitsPerSample,
      signed: info.isSigned,
      decompositions,
    });
  } catch (thrown) {
    if (thrown instanceof EndpointError) throw thrown;
    // The codec throws bare numbers (pointers into its heap) and traps.
    if (thrown instanceof Error && thrown.name === 'RuntimeError') discardOpenJph();
    throw new EndpointError('unprocessable_image', 'The HTJ2K codestream cannot be decoded.', { cause: thrown });
  } finally {
    release(decoder);
  }
}

function release(decoder: OpenJphDecoder): void {
  try {
    decoder.delete();
  } catch {
    discardOpenJph();
  }
}

function matches(
  info: { width: number; height: number; componentCount: number },
  bits: number,
  expected: Htj2kExpectation,
): boolean {
  return (
    info.width === expected.width &&
    info.height === expected.height &&
    info.componentCount === expected.samplesPerPixel &&
    bits <= expected.bitsAllocated
  );
}
