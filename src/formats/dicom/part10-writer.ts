import { EndpointError } from '../../errors.ts';
import { DicomDataset } from './dataset.ts';
import { ElementWriter } from './element-writer.ts';
import type { PixelDataValue } from './pixel-data.ts';
import { tags } from './tags.ts';

export interface WritePart10Options {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  /** Explicit VR little-endian, or an encapsulated syntax whose pixel data come in their encapsulated form. */
  readonly transferSyntaxUid: string;
  /** Value of PixelData; written as it is, at its place. */
  readonly pixelData?: PixelDataValue;
  /** Leave SpecificCharacterSet as it is where all text is ASCII, which says the same in every set. Default: UTF-8. */
  readonly keepAsciiCharacterSet?: boolean;
}

/** This implementation, for the file meta group: a UUID in 2.25 form (PS3.5 B.2). */
const IMPLEMENTATION_CLASS_UID = '2.25.36362443534249371401829386797327995401';
const IMPLEMENTATION_VERSION_NAME = 'MAP_ENDPOINT_1';

const PREAMBLE_BYTES = 132;
const MAX_PIXEL_BYTES = 0xfffffffe;

function fileMeta({ sopClassUid, sopInstanceUid, transferSyntaxUid }: WritePart10Options): Uint8Array {
  const group = new ElementWriter();
  group.writeDataset(
    new DicomDataset()
      .set(tags.FileMetaInformationVersion, 'OB', Uint8Array.of(0, 1))
      .set(tags.MediaStorageSOPClassUID, 'UI', sopClassUid)
      .set(tags.MediaStorageSOPInstanceUID, 'UI', sopInstanceUid)
      .set(tags.TransferSyntaxUID, 'UI', transferSyntaxUid)
      .set(tags.ImplementationClassUID, 'UI', IMPLEMENTATION_CLASS_UID)
      .set(tags.ImplementationVersionName, 'SH', IMPLEMENTATION_VERSION_NAME),
  );
  const length = new ElementWriter();
  length.writeDataset(new DicomDataset().set(tags.FileMetaInformationGroupLength, 'UL', group.length));
  return Buffer.concat([length.bytes, group.bytes]);
}

/** Header of PixelData in explicit VR: tag, VR, two reserved bytes, length. */
function pixelDataHeader(vr: string, length: number): Uint8Array {
  const header = Buffer.alloc(12);
  header.writeUInt16LE(0x7fe0, 0);
  header.writeUInt16LE(0x0010, 2);
  header.write(vr, 4, 'latin1');
  header.writeUInt32LE(length, 8);
  return header;
}

/** PixelData as an element, in pieces: what it holds may be gigabytes. */
function pixelDataElement({ bytes, vr, encapsulated }: PixelDataValue): Uint8Array[] {
  if (encapsulated) return [pixelDataHeader('OB', 0xffffffff), bytes];
  const padding = new Uint8Array(bytes.length % 2);
  if (bytes.length + padding.length > MAX_PIXEL_BYTES) {
    throw new EndpointError('internal', 'The pixel data are longer than 4 GiB: a DICOM object cannot hold them.');
  }
  return [pixelDataHeader(vr, bytes.length + padding.length), bytes, padding];
}

function elementBytes(elements: DicomDataset, options: { keepCharacterSets: boolean }): Uint8Array {
  const writer = new ElementWriter(options);
  writer.writeDataset(elements);
  return writer.bytes;
}

/** Nothing but ASCII in any text, nested text included. */
function isAscii(dataset: DicomDataset): boolean {
  return dataset.entries().every(([, { values }]) =>
    values.every((value) => {
      if (value instanceof DicomDataset) return isAscii(value);
      return typeof value !== 'string' || /^[\0-\x7f]*$/.test(value);
    }),
  );
}

/**
 * Writes a data set in file form (PS3.10): preamble, file meta group, explicit VR little-endian elements in UTF-8
 * (SpecificCharacterSet becomes ISO_IR 192, see `keepAsciiCharacterSet`), PixelData in its place. Everything in the data
 * set is written, private elements and sequences included; SOPClassUID and SOPInstanceUID are those of the options.
 *
 * @throws EndpointError `internal` for values that their VR cannot hold
 */
export function writePart10(dataset: DicomDataset, options: WritePart10Options): Uint8Array {
  const complete = new DicomDataset(dataset.entries())
    .set(tags.SOPClassUID, 'UI', options.sopClassUid)
    .set(tags.SOPInstanceUID, 'UI', options.sopInstanceUid);
  const keepCharacterSets = options.keepAsciiCharacterSet === true && isAscii(complete);
  if (!keepCharacterSets) complete.set(tags.SpecificCharacterSet, 'CS', 'ISO_IR 192');
  const part = (isMine: (tag: number) => boolean): Uint8Array =>
    elementBytes(new DicomDataset(complete.entries().filter(([tag]) => isMine(tag))), { keepCharacterSets });
  const before = part((tag) => tag < tags.PixelData);
  const behind = part((tag) => tag > tags.PixelData);
  const pixels = options.pixelData ? pixelDataElement(options.pixelData) : [];
  const prefix = Buffer.alloc(PREAMBLE_BYTES);
  prefix.write('DICM', 128, 'latin1');
  const file = Buffer.concat([prefix, fileMeta(options), before, ...pixels, behind]);
  return new Uint8Array(file.buffer, file.byteOffset, file.byteLength);
}
