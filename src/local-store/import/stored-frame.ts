import { crc32 } from 'node:zlib';
import { decodeFrame } from '../../formats/dicom/frame-decoder.ts';
import type { ImagePixelFormat } from '../../formats/dicom/image-pixel.ts';
import { transferSyntax } from '../../formats/dicom/transfer-syntax.ts';
import { useDecodedHtj2k } from '../../formats/htj2k/decoder.ts';
import { encodeHtj2k } from '../../formats/htj2k/encoder.ts';
import type { FramePlan } from './frame-plan.ts';
import type { ImageFrameEntry, ResolutionChecksum } from './outcome.ts';
import { valueRange } from './value-range.ts';

/** The frame cannot be kept exactly as HTJ2K: the instance is stored uncompressed. */
export class InexactFrame extends Error {
  override readonly name = 'InexactFrame';
}

/** A frame in its stored form with what the document says of it. */
export interface StoredFrame {
  readonly bytes: Uint8Array;
  readonly entry: Omit<ImageFrameEntry, 'ID'>;
}

/**
 * The document lists resolutions down to this side length, as real ones do (512: 128, 256, 512), although the
 * codestream goes on to 64.
 */
const lowestListedSide = 128;

/**
 * Stores one frame. What was encoded is decoded again and compared byte for byte: a frame that does not come back is
 * never stored as HTJ2K.
 *
 * @throws InexactFrame
 * @throws EndpointError `unprocessable_image` when the received frame cannot be decoded
 */
export async function storeFrame(plan: FramePlan, index: number): Promise<StoredFrame> {
  const { format, receivedSyntaxUid, storage } = plan;
  const received = plan.frame(index);
  if (storage === 'raw') return { bytes: received, entry: entryOf(received, plan) };
  const decodedFrame = await decodeFrame({ ...format, bytes: received, transferSyntaxUid: receivedSyntaxUid });
  // Some codecs give a Uint8ClampedArray in disguise.
  const pixels = new Uint8Array(decodedFrame.buffer, decodedFrame.byteOffset, decodedFrame.byteLength);
  if (storage === 'uncompressed') return { bytes: pixels, entry: entryOf(pixels, plan) };
  if (storage === 'as-received') {
    if (receivedSyntaxUid !== transferSyntax.htj2kLosslessRpcl) {
      return { bytes: received, entry: entryOf(pixels, plan) };
    }
    const decompositions = await useDecodedHtj2k(received, 0, undefined, (decoded) => decoded.decompositions);
    const lower = await lowerResolutions(received, format, decompositions);
    return { bytes: received, entry: entryOf(pixels, plan, lower) };
  }
  const range = valueRange(pixels, format, false);
  const encoded = await encodeHtj2k(pixels, {
    width: format.columns,
    height: format.rows,
    bitsAllocated: format.bitsAllocated as 8 | 16,
    samplesPerPixel: format.samplesPerPixel as 1 | 3,
    signed: format.pixelRepresentation === 1,
    bitsStored: declaredBits(format, range.fitsBitsStored),
  });
  // Compared where the codec wrote it: a copy would cost as much as the comparison.
  const { isExact, decompositions } = await useDecodedHtj2k(encoded, 0, undefined, (decoded) => ({
    isExact: Buffer.compare(decoded.pixels, pixels) === 0,
    decompositions: decoded.decompositions,
  }));
  if (!isExact) throw new InexactFrame();
  const lower = await lowerResolutions(encoded, format, decompositions);
  return { bytes: encoded, entry: entryOf(pixels, plan, lower, range) };
}

/**
 * Precision to declare: what the image says, where all samples fit in it and a reader still gets samples of the
 * allocated width (readers give one byte a sample for up to 8 bits).
 */
function declaredBits({ bitsAllocated, bitsStored }: ImagePixelFormat, fits: boolean): number {
  return fits && (bitsAllocated === 8 || bitsStored > 8) ? bitsStored : bitsAllocated;
}

function entryOf(
  pixels: Uint8Array,
  plan: FramePlan,
  lower: readonly ResolutionChecksum[] = [],
  range = valueRange(pixels, plan.format, plan.isFloat),
): StoredFrame['entry'] {
  const { rows, columns } = plan.format;
  return {
    PixelDataChecksumFromBaseToFullResolution: [...lower, { Width: columns, Height: rows, Checksum: crc32(pixels) }],
    MinPixelValue: range.min,
    MaxPixelValue: range.max,
    FrameSizeInBytes: pixels.length,
  };
}

/** Checksums of the listed resolutions below full size, lowest first. */
async function lowerResolutions(
  encoded: Uint8Array,
  { rows, columns }: ImagePixelFormat,
  decompositions: number,
): Promise<ResolutionChecksum[]> {
  const checksums: ResolutionChecksum[] = [];
  let side = Math.ceil(Math.min(rows, columns) / 2);
  for (let level = 1; level <= decompositions && side >= lowestListedSide; level++) {
    const checksum = await useDecodedHtj2k(encoded, level, undefined, ({ pixels, width, height }) => ({
      Width: width,
      Height: height,
      Checksum: crc32(pixels),
    }));
    checksums.unshift(checksum);
    side = Math.ceil(side / 2);
  }
  return checksums;
}
