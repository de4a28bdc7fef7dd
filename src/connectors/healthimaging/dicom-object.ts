import { crc32 } from 'node:zlib';
import type { ComputePool } from '../../compute/pool.ts';
import { EndpointError } from '../../errors.ts';
import { DicomDataset } from '../../formats/dicom/dataset.ts';
import { decodeFrameAtLevelTask, decodeFrameTask } from '../../formats/dicom/decode-frame-task.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import { hasResolutionLevels } from '../../formats/dicom/frame-decoder.ts';
import { frameBytes, type ImagePixelFormat, imagePixelFormat } from '../../formats/dicom/image-pixel.ts';
import { writePart10 } from '../../formats/dicom/part10-writer.ts';
import { encapsulate, joinFrames } from '../../formats/dicom/pixel-data.ts';
import { isNativeSyntax, transferSyntax } from '../../formats/dicom/transfer-syntax.ts';
import type { EncodedFrame, SourceInstance } from '../image-source.ts';
import { mapWithLimit } from '../map-with-limit.ts';

/** An instance in its file form. */
export interface DicomObject {
  readonly sopInstanceUid: string;
  readonly transferSyntaxUid: string;
  readonly bytes: Uint8Array;
  /** Decoded pixels of the frames with their layout and colour, for pictures; empty for an object without, or of floats. */
  readonly frames: readonly Uint8Array[];
  /** Its rows and columns are those of `frames`: at `pictureLevel`, not of the object. */
  readonly format: ImagePixelFormat | undefined;
}

export interface DicomObjectOptions {
  readonly pool: ComputePool;
  readonly signal: AbortSignal;
  /**
   * Keep every frame as it is stored. Otherwise lossless HTJ2K and JPEG 2000, which the service made of what it got,
   * become uncompressed pixels; lossy codestreams are what was received, and stay.
   */
  readonly keepStored?: boolean;
  /**
   * Resolution level of `frames`: 0 (default) is full size, each above halves both sides. Frames of syntaxes without levels
   * stay as they are.
   */
  readonly pictureLevel?: number;
  /** Frames fetched at once. */
  readonly framesInFlight?: number;
}

/** Stored as received: decoding them would not give back what was sent (field-facts §1.5). */
const keptSyntaxes: ReadonlySet<string> = new Set([
  transferSyntax.jpegBaseline,
  transferSyntax.jpeg2000,
  transferSyntax.htj2k,
]);

/**
 * Makes a DICOM Part 10 object of an instance of an image set ("DICOMize"): all attributes of the metadata document and
 * all frames, each decoded and held against the length and the CRC-32 that the store tells.
 *
 * @throws EndpointError `unprocessable_image`, `upstream_failed` (a damaged frame, by name), `deadline_exceeded`
 */
export async function dicomObject(instance: SourceInstance, options: DicomObjectOptions): Promise<DicomObject> {
  const { attributes, numberOfFrames } = instance;
  const sopInstanceUid = uidOf(attributes, tags.SOPInstanceUID, 'SOPInstanceUID');
  const sopClassUid = uidOf(attributes, tags.SOPClassUID, 'SOPClassUID');
  const head = { sopClassUid, sopInstanceUid, keepAsciiCharacterSet: true };
  const { explicitLittleEndian } = transferSyntax;
  if (numberOfFrames === 0) {
    const bytes = writePart10(attributes, { ...head, transferSyntaxUid: explicitLittleEndian });
    return { sopInstanceUid, transferSyntaxUid: explicitLittleEndian, bytes, frames: [], format: undefined };
  }
  const floats = [tags.FloatPixelData, tags.DoubleFloatPixelData].find((tag) => attributes.has(tag));
  const format = imagePixelFormat(attributes);
  const indices = Array.from({ length: numberOfFrames }, (_, index) => index);
  const fetched = await mapWithLimit(indices, options.framesInFlight ?? 8, async (index) => {
    const encoded = await instance.readFrame(index, options.signal);
    try {
      return { encoded, pixels: await pixelsOf(encoded, format, floats !== undefined, options) };
    } catch (error) {
      throw damaged(sopInstanceUid, index, encoded, error);
    }
  });
  const pixels = fetched.map((frame) => frame.pixels);
  if (floats !== undefined) {
    const complete = new DicomDataset(attributes.entries());
    complete.set(floats, floats === tags.FloatPixelData ? 'OF' : 'OD', Buffer.concat(pixels));
    const bytes = writePart10(complete, { ...head, transferSyntaxUid: explicitLittleEndian });
    return { sopInstanceUid, transferSyntaxUid: explicitLittleEndian, bytes, frames: [], format: undefined };
  }
  const stored = (fetched[0] as (typeof fetched)[number]).encoded.transferSyntaxUid;
  const keeps = !isNativeSyntax(stored) && (options.keepStored === true || keptSyntaxes.has(stored));
  const transferSyntaxUid = keeps ? stored : explicitLittleEndian;
  const pixelData = keeps ? encapsulate(fetched.map(({ encoded }) => encoded.bytes)) : joinFrames(pixels, format);
  const bytes = writePart10(attributes, { ...head, transferSyntaxUid, pixelData });
  const whole = { sopInstanceUid, transferSyntaxUid, bytes };
  const colour = decodedFormat(format, stored);
  const { pictureLevel = 0 } = options;
  if (pictureLevel === 0 || !hasResolutionLevels(stored)) return { ...whole, frames: pixels, format: colour };
  const pictures = await mapWithLimit(fetched, options.framesInFlight ?? 8, async ({ encoded }, index) => {
    const { bytes, transferSyntaxUid, decodedLevels } = encoded;
    const frame = { ...format, bytes, transferSyntaxUid };
    const input = { frame, resolutionLevel: pictureLevel, ...(decodedLevels ? { levels: decodedLevels } : {}) };
    return await options.pool.run(decodeFrameAtLevelTask, input, options.signal).catch((error: unknown) => {
      throw damaged(sopInstanceUid, index, encoded, error);
    });
  });
  const [{ rows, columns }] = pictures as [(typeof pictures)[number]];
  return { ...whole, frames: pictures.map((picture) => picture.pixels), format: { ...colour, rows, columns } };
}

/** The layout of decoded pixels: colour comes as RGB from JPEG, and from the transforms inside of JPEG 2000. */
function decodedFormat(format: ImagePixelFormat, storedSyntaxUid: string): ImagePixelFormat {
  const isTransformed =
    storedSyntaxUid === transferSyntax.jpegBaseline || /^YBR_(RCT|ICT)$/.test(format.photometricInterpretation);
  if (format.samplesPerPixel !== 3 || !isTransformed) return format;
  return { ...format, photometricInterpretation: 'RGB', planarConfiguration: 0 };
}

/** Decoded pixels, checked. Raw ones are not touched: single bits, floats, subsampled colour have no other form. */
async function pixelsOf(
  encoded: EncodedFrame,
  format: ImagePixelFormat,
  isFloat: boolean,
  { pool, signal }: DicomObjectOptions,
): Promise<Uint8Array> {
  const { bytes, transferSyntaxUid, decodedBytes, decodedCrc32 } = encoded;
  if (!isNativeSyntax(transferSyntaxUid)) {
    const input = { ...format, bytes, transferSyntaxUid };
    return await pool.run(
      decodeFrameTask,
      decodedCrc32 === undefined ? input : { ...input, expectedCrc32: decodedCrc32 },
      signal,
    );
  }
  const subsampled = format.photometricInterpretation.endsWith('_422');
  const expected = decodedBytes ?? (isFloat || subsampled ? bytes.length : frameBytes(format));
  if (bytes.length !== expected) {
    throw new EndpointError('unprocessable_image', `it has ${bytes.length} bytes, not ${expected}.`);
  }
  if (decodedCrc32 !== undefined && crc32(bytes) !== decodedCrc32) {
    throw new EndpointError('unprocessable_image', 'its CRC-32 differs from the one that the store tells.');
  }
  return bytes;
}

function damaged(sopInstanceUid: string, index: number, encoded: EncodedFrame, error: unknown): unknown {
  if (!(error instanceof EndpointError) || error.code !== 'unprocessable_image') return error;
  const isPromised = encoded.decodedCrc32 !== undefined || encoded.decodedBytes !== undefined;
  return new EndpointError(
    isPromised ? 'upstream_failed' : 'unprocessable_image',
    `Frame ${index + 1} of instance ${sopInstanceUid} cannot be used: ${error.message}`,
    { details: { sopInstanceUid, frame: index + 1 }, cause: error },
  );
}

/** A UID that may also be the name of a file. */
function uidOf(attributes: DicomDataset, tag: number, name: string): string {
  const uid = attributes.string(tag) ?? '';
  if (!/^[0-9][0-9.]{0,63}$/.test(uid)) {
    throw new EndpointError('unprocessable_image', `An instance has no valid ${name}.`);
  }
  return uid;
}
