import { inflateRawSync } from 'node:zlib';
import { EndpointError } from '../../errors.ts';
import type { DicomDataset } from './dataset.ts';
import { type ElementEncoding, ElementReader, type PixelDataLocation } from './element-reader.ts';
import { encapsulatedFrames } from './encapsulated-frames.ts';
import { imagePixelFormat } from './image-pixel.ts';
import { nativeFrames } from './native-frames.ts';
import { tags } from './tags.ts';
import { transferSyntax } from './transfer-syntax.ts';
import { unprocessable } from './unprocessable.ts';

/** A DICOM object read from its file form (PS3.10). Binary values and frames are views of the given bytes. */
export interface Part10File {
  /** All elements but PixelData (7FE0,0010); text is Unicode, whatever SpecificCharacterSet says. */
  readonly dataset: DicomDataset;
  /** The file meta group (0002). Empty for a file without one. */
  readonly meta: DicomDataset;
  /** Transfer syntax of the object; for a file that does not tell it, the one its elements show. */
  readonly transferSyntaxUid: string;
  /** Frames of PixelData; 0 for an object without it. */
  readonly numberOfFrames: number;
  /**
   * Encoded bytes of a frame (0-based): the codestream of an encapsulated syntax, else the raw little-endian pixels
   * (big-endian and deflated sources are turned into that; 1-bit frames are packed from their own first bit).
   *
   * @throws EndpointError `unprocessable_image` when the pixel data cannot be shared out to the frames
   */
  frame(index: number): Uint8Array;
}

export interface ReadPart10Options {
  /** Keep the trailing blanks of IS and DS values (HealthImaging's metadata shows them). Default false. */
  readonly keepPadding?: boolean;
  /** Find frames without the offset tables of encapsulated pixel data: for files whose tables are wrong. Default false. */
  readonly ignoreOffsetTables?: boolean;
}

/** What a deflated data set may grow to: beyond this it is a bomb. */
const MAX_INFLATED_BYTES = 2 ** 31 - 1;

const asciiAt = (bytes: Uint8Array, at: number, text: string): boolean =>
  [...text].every((char, index) => bytes[at + index] === char.charCodeAt(0));

/** Offset of the file meta group: behind preamble and prefix, behind a bare prefix, or 0 for a file with neither. */
function startOf(bytes: Uint8Array): number {
  if (asciiAt(bytes, 128, 'DICM')) return 132;
  return asciiAt(bytes, 0, 'DICM') ? 4 : 0;
}

/** What the first element at `at` shows about the encoding; undefined when it can be no DICOM element. */
function guessEncoding(bytes: Uint8Array, at: number): ElementEncoding | undefined {
  if (bytes.length < at + 8) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  const vr = view.getUint16(4);
  const explicit = [vr >>> 8, vr & 0xff].every((byte) => byte >= 0x41 && byte <= 0x5a);
  const low = view.getUint16(0, true);
  if (low === 0x0002 || low === 0x0004 || low === 0x0008) {
    return explicit || view.getUint32(4, true) <= bytes.length - at - 8 ? { explicit, littleEndian: true } : undefined;
  }
  return view.getUint16(0, false) === 0x0008 && explicit ? { explicit, littleEndian: false } : undefined;
}

/** True when the bytes look like a DICOM file, with or without preamble and file meta group. Cheap: reads no further. */
export function isPart10(bytes: Uint8Array): boolean {
  return startOf(bytes) > 0 || guessEncoding(bytes, 0) !== undefined;
}

function inflate(bytes: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(bytes, { maxOutputLength: MAX_INFLATED_BYTES });
  } catch (cause) {
    throw unprocessable('The deflated DICOM object is damaged, or larger than 2 GiB when inflated.', cause);
  }
}

interface Encoded {
  readonly transferSyntaxUid: string;
  readonly encoding: ElementEncoding;
}

function encodingOf(bytes: Uint8Array, at: number, declared: string | undefined): Encoded {
  if (declared !== undefined) {
    return {
      transferSyntaxUid: declared,
      encoding: {
        explicit: declared !== transferSyntax.implicitLittleEndian,
        littleEndian: declared !== transferSyntax.explicitBigEndian,
      },
    };
  }
  const hasPrefix = startOf(bytes) > 0;
  const guess = guessEncoding(bytes, at) ?? (hasPrefix ? { explicit: false, littleEndian: true } : undefined);
  if (!guess) throw unprocessable('The bytes are no DICOM object: neither a DICM prefix nor a first element is there.');
  const explicit = guess.littleEndian ? transferSyntax.explicitLittleEndian : transferSyntax.explicitBigEndian;
  return { transferSyntaxUid: guess.explicit ? explicit : transferSyntax.implicitLittleEndian, encoding: guess };
}

function frameCount(dataset: DicomDataset, pixelData: PixelDataLocation | undefined): number {
  if (!pixelData) return 0;
  if (pixelData.start === pixelData.end) return 0;
  const frames = dataset.number(tags.NumberOfFrames) ?? 1;
  if (!Number.isInteger(frames) || frames < 1) throw unprocessable(`NumberOfFrames of the image is ${frames}.`);
  return frames;
}

/**
 * Reads a DICOM object from the bytes of a file, with or without preamble. What is cut, nested too deeply, or claims
 * more than is there is refused as a whole.
 *
 * @throws EndpointError `unprocessable_image`
 */
export function readPart10(bytes: Uint8Array, options: ReadPart10Options = {}): Part10File {
  try {
    return read(bytes, options.keepPadding ?? false, options.ignoreOffsetTables ?? false);
  } catch (thrown) {
    if (thrown instanceof EndpointError) throw thrown;
    throw unprocessable('The bytes cannot be read as a DICOM object.', thrown);
  }
}

function read(bytes: Uint8Array, keepPadding: boolean, ignoreOffsetTables: boolean): Part10File {
  const metaReader = new ElementReader(bytes, startOf(bytes));
  const meta = metaReader.readMeta();
  const at = metaReader.position;
  const declared = meta.string(tags.TransferSyntaxUID);
  const body = declared === transferSyntax.deflated ? inflate(bytes.subarray(at)) : bytes;
  const { transferSyntaxUid, encoding } = encodingOf(bytes, at, declared);
  const reader = new ElementReader(body, body === bytes ? at : 0);
  const dataset = reader.readDataset(encoding, keepPadding);
  if (dataset.size === 0) throw unprocessable('The DICOM object holds no elements.');
  const { pixelData } = reader;
  const numberOfFrames = frameCount(dataset, pixelData);
  let frames: ((index: number) => Uint8Array) | undefined;
  return {
    dataset,
    meta,
    transferSyntaxUid,
    numberOfFrames,
    frame(index) {
      if (!pixelData || index < 0 || index >= numberOfFrames) {
        throw unprocessable(`The image has no frame ${index + 1}; it has ${numberOfFrames}.`);
      }
      const data = body.subarray(pixelData.start, pixelData.end);
      frames ??= pixelData.encapsulated
        ? encapsulatedFrames(data, dataset, numberOfFrames, ignoreOffsetTables)
        : nativeFrames(data, pixelData.vr, encoding.littleEndian, imagePixelFormat(dataset), numberOfFrames);
      return frames(index);
    },
  };
}
