import { EndpointError } from '../../errors.ts';
import { DicomDataset } from './dataset.ts';
import { ElementWriter } from './element-writer.ts';
import { tags } from './tags.ts';

export interface WritePart10Options {
  readonly sopClassUid: string;
  readonly sopInstanceUid: string;
  /** Explicit VR little-endian, or an encapsulated syntax whose pixel data come in their encapsulated form. */
  readonly transferSyntaxUid: string;
  /** Value of PixelData; written last, as it is. */
  readonly pixelData?: { readonly bytes: Uint8Array; readonly vr: 'OB' | 'OW' };
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

/**
 * Writes a data set in file form (PS3.10): preamble, file meta group, explicit VR little-endian elements in UTF-8
 * (SpecificCharacterSet becomes ISO_IR 192), pixel data last. Everything in the data set is written, private elements
 * and sequences included; SOPClassUID and SOPInstanceUID are those of the options.
 *
 * @throws EndpointError `internal` for values that their VR cannot hold
 */
export function writePart10(dataset: DicomDataset, options: WritePart10Options): Uint8Array {
  const { pixelData } = options;
  const complete = new DicomDataset(dataset.entries())
    .set(tags.SpecificCharacterSet, 'CS', 'ISO_IR 192')
    .set(tags.SOPClassUID, 'UI', options.sopClassUid)
    .set(tags.SOPInstanceUID, 'UI', options.sopInstanceUid);
  complete.delete(tags.PixelData);
  const body = new ElementWriter();
  body.writeDataset(complete);
  const meta = fileMeta(options);
  const pixelBytes = pixelData ? pixelData.bytes.length + (pixelData.bytes.length % 2) : 0;
  if (pixelBytes > MAX_PIXEL_BYTES) {
    throw new EndpointError('internal', 'The pixel data are longer than 4 GiB: a DICOM object cannot hold them.');
  }
  const header = pixelData ? pixelDataHeader(pixelData.vr, pixelBytes) : new Uint8Array();
  const file = new Uint8Array(PREAMBLE_BYTES + meta.length + body.length + header.length + pixelBytes);
  file.set(Buffer.from('DICM', 'latin1'), 128);
  file.set(meta, PREAMBLE_BYTES);
  file.set(body.bytes, PREAMBLE_BYTES + meta.length);
  file.set(header, PREAMBLE_BYTES + meta.length + body.length);
  if (pixelData) file.set(pixelData.bytes, PREAMBLE_BYTES + meta.length + body.length + header.length);
  return file;
}
