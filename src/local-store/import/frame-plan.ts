import type { DicomDataset } from '../../formats/dicom/dataset.ts';
import { frameBytes, type ImagePixelFormat, imagePixelFormat } from '../../formats/dicom/image-pixel.ts';
import type { Part10File } from '../../formats/dicom/part10-reader.ts';
import { tags } from '../../formats/dicom/tags.ts';
import { isNativeSyntax, transferSyntax } from '../../formats/dicom/transfer-syntax.ts';
import { unprocessable } from '../../formats/dicom/unprocessable.ts';
import { canEncodeHtj2k } from '../../formats/htj2k/encoder.ts';

/**
 * How an instance's frames are stored. All frames of an instance are stored alike, since the document names the
 * transfer syntax once for all of them.
 *
 * - `htj2k`: lossless HTJ2K, RPCL (…4.202), the store's own format
 * - `as-received`: the codestream that came, also HTJ2K RPCL itself; lossy ones lose nothing more
 * - `uncompressed`: explicit little-endian pixels, for what HTJ2K cannot keep exactly
 * - `raw`: native bytes that have no other decoded form: packed single bits, floats, subsampled colour
 */
export type FrameStorage = 'htj2k' | 'as-received' | 'uncompressed' | 'raw';

export interface FramePlan {
  readonly storage: FrameStorage;
  readonly numberOfFrames: number;
  readonly format: ImagePixelFormat;
  /** Encoded bytes of a frame as received, in {@link receivedSyntaxUid}. */
  readonly frame: (index: number) => Uint8Array;
  readonly receivedSyntaxUid: string;
  /** IEEE floats (FloatPixelData, DoubleFloatPixelData). */
  readonly isFloat: boolean;
  /** Attributes whose value changes with the storage: what the document must say of the stored frames. */
  readonly changedAttributes: Readonly<Record<string, string | number>>;
}

/** Lossy codestreams: the service keeps them, as transcoding would only make them bigger. */
const keptSyntaxes: readonly string[] = [
  transferSyntax.jpegBaseline,
  transferSyntax.jpeg2000,
  transferSyntax.htj2k,
  transferSyntax.htj2kLosslessRpcl,
];

/** JPEG 2000 decodes to RGB; these name the transform inside the codestream (PS3.3 C.7.6.3.1.2). */
const codestreamColours = ['YBR_RCT', 'YBR_ICT'];
const subsampledColours = ['YBR_FULL_422', 'YBR_PARTIAL_422'];

/**
 * @returns undefined for an object without pixel data
 * @throws EndpointError `unprocessable_image`
 */
export function framePlan(file: Part10File): FramePlan | undefined {
  const float = floatPlan(file);
  if (float) return float;
  if (file.numberOfFrames === 0) return undefined;
  const format = imagePixelFormat(file.dataset);
  const received = {
    numberOfFrames: file.numberOfFrames,
    format,
    frame: (index: number) => file.frame(index),
    receivedSyntaxUid: file.transferSyntaxUid,
    isFloat: false,
    changedAttributes: {},
  };
  if (keptSyntaxes.includes(file.transferSyntaxUid)) return { ...received, storage: 'as-received' };
  const isPacked = format.bitsAllocated === 1 || subsampledColours.includes(format.photometricInterpretation);
  if (isPacked && isNativeSyntax(file.transferSyntaxUid)) return { ...received, storage: 'raw' };
  return {
    ...received,
    storage: canEncodeHtj2k({ ...format, signed: format.pixelRepresentation === 1 }) ? 'htj2k' : 'uncompressed',
    changedAttributes: {
      ...(format.samplesPerPixel > 1 ? { PlanarConfiguration: 0 } : {}),
      ...(codestreamColours.includes(format.photometricInterpretation) ? { PhotometricInterpretation: 'RGB' } : {}),
    },
  };
}

/** Parametric maps: pixels are in an element of their own (PS3.3 C.7.6.24, C.7.6.25). */
function floatPlan({ dataset, transferSyntaxUid }: Part10File): FramePlan | undefined {
  const single = dataset.bytes(tags.FloatPixelData);
  const bytes = single ?? dataset.bytes(tags.DoubleFloatPixelData);
  if (!bytes) return undefined;
  const format = floatFormat(dataset, single ? 32 : 64);
  const numberOfFrames = dataset.number(tags.NumberOfFrames) ?? 1;
  const size = frameBytes(format);
  if (!Number.isInteger(numberOfFrames) || numberOfFrames < 1 || bytes.length !== numberOfFrames * size) {
    throw unprocessable(`The float pixel data hold ${bytes.length} bytes for ${numberOfFrames} frames of ${size}.`);
  }
  return {
    storage: 'raw',
    numberOfFrames,
    format,
    frame: (index) => bytes.subarray(index * size, (index + 1) * size),
    receivedSyntaxUid: isNativeSyntax(transferSyntaxUid) ? transferSyntaxUid : transferSyntax.explicitLittleEndian,
    isFloat: true,
    changedAttributes: {},
  };
}

function floatFormat(dataset: DicomDataset, bits: 32 | 64): ImagePixelFormat {
  const format = imagePixelFormat(dataset);
  if (format.bitsAllocated !== bits) throw unprocessable(`Float pixels of ${bits} bits need BitsAllocated ${bits}.`);
  return { ...format, bitsStored: bits };
}
