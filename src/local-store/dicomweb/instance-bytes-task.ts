import { closeSync, openSync, readSync } from 'node:fs';
import { defineTask } from '../../compute/task.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import { decodeFrame } from '../../formats/dicom/frame-decoder.ts';
import { type ImagePixelFormat, imagePixelFormat } from '../../formats/dicom/image-pixel.ts';
import { writePart10 } from '../../formats/dicom/part10-writer.ts';
import { transferSyntax } from '../../formats/dicom/transfer-syntax.ts';
import { datasetOf, type InstanceAttributes } from './attributes.ts';
import { encapsulate, packFrames } from './pixel-data.ts';

/** Frames of an instance as they are stored. */
export interface StoredFramesOfInstance {
  readonly path: string;
  readonly frames: readonly { readonly offset: number; readonly lengthBytes: number; readonly checksum: number }[];
  readonly transferSyntaxUid: string;
}

export interface InstanceBytesInput extends InstanceAttributes {
  readonly sopInstanceUid: string;
  /** Undefined for an object without pixel data. */
  readonly stored: StoredFramesOfInstance | undefined;
  /** Explicit little-endian or the stored syntax. */
  readonly transferSyntaxUid: string;
}

/** Makes the Part 10 file of an instance: the attributes as the metadata has them now, the frames as they are stored. */
export const instanceBytesTask = defineTask<InstanceBytesInput, Uint8Array>(
  import.meta.url,
  './instance-bytes-task.ts',
  'instanceBytes',
);

/** @public called by its name on a compute thread */
export async function instanceBytes(input: InstanceBytesInput): Promise<Uint8Array> {
  const { stored, sopInstanceUid, transferSyntaxUid } = input;
  const dataset = datasetOf(input);
  const options = { sopClassUid: dataset.string(tags.SOPClassUID) ?? '', sopInstanceUid, transferSyntaxUid };
  if (!stored) return writePart10(dataset, options);
  if (transferSyntaxUid === stored.transferSyntaxUid && transferSyntaxUid !== transferSyntax.explicitLittleEndian) {
    return encapsulate(writePart10(dataset, options), readFrames(stored));
  }
  const floatBits = floatElement(input);
  const format = floatBits ? undefined : imagePixelFormat(dataset);
  const frames: Uint8Array[] = [];
  for (const [at, bytes] of readFrames(stored).entries()) {
    frames.push(format ? await littleEndianFrame(bytes, stored, at, format) : bytes);
  }
  if (floatBits) {
    dataset.set(floatBits.tag, floatBits.vr, Buffer.concat(frames));
    return writePart10(dataset, options);
  }
  const pixels = format as ImagePixelFormat;
  if (isColourDecoded(stored.transferSyntaxUid, pixels)) {
    dataset.set(tags.PhotometricInterpretation, 'CS', 'RGB').set(tags.PlanarConfiguration, 'US', 0);
  }
  return writePart10(dataset, {
    ...options,
    pixelData: { bytes: packFrames(frames, pixels), vr: pixels.bitsAllocated > 8 ? 'OW' : 'OB' },
  });
}

/** Decodes a stored frame; the CRC-32 that the metadata tells is checked. */
export async function littleEndianFrame(
  bytes: Uint8Array,
  { transferSyntaxUid, frames }: StoredFramesOfInstance,
  at: number,
  format: ImagePixelFormat,
): Promise<Uint8Array> {
  // Subsampled colour has no other decoded form than its bytes.
  if (transferSyntaxUid === transferSyntax.explicitLittleEndian) return bytes;
  const expectedCrc32 = frames[at]?.checksum;
  const decoded = await decodeFrame({
    ...format,
    planarConfiguration: 0,
    bytes,
    transferSyntaxUid,
    ...(expectedCrc32 === undefined ? {} : { expectedCrc32 }),
  });
  return new Uint8Array(decoded.buffer, decoded.byteOffset, decoded.byteLength);
}

/** JPEG and JPEG 2000 colour decodes to RGB. */
export const isColourDecoded = (storedSyntaxUid: string, { samplesPerPixel }: ImagePixelFormat): boolean =>
  samplesPerPixel === 3 && storedSyntaxUid !== transferSyntax.explicitLittleEndian;

export function readFrames({ path, frames }: StoredFramesOfInstance): Uint8Array[] {
  const file = openSync(path, 'r');
  try {
    return frames.map(({ offset, lengthBytes }) => {
      const bytes = new Uint8Array(lengthBytes);
      if (readSync(file, bytes, 0, lengthBytes, offset) !== lengthBytes) {
        throw new Error('A stored frame is shorter than its index says.');
      }
      return bytes;
    });
  } finally {
    closeSync(file);
  }
}

function floatElement({ attributes }: InstanceAttributes): { tag: number; vr: string } | undefined {
  if ('FloatPixelData' in attributes) return { tag: 0x7fe00008, vr: 'OF' };
  if ('DoubleFloatPixelData' in attributes) return { tag: 0x7fe00009, vr: 'OD' };
  return undefined;
}
