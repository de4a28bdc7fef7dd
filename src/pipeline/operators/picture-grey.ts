import { EndpointError } from '../../errors.ts';
import type { DicomDataset } from '../../formats/dicom/dataset.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import type { ImagePixelFormat } from '../../formats/dicom/image-pixel.ts';

/**
 * Values of a decoded grey frame: rescaled, and turned round where low means bright (MONOCHROME1), so that all pictures
 * read alike.
 *
 * @throws EndpointError `unprocessable_image`: other pixels than grey of 8 or 16 bits, or a table of values
 */
export function greyPlane(
  pixels: Uint8Array,
  { photometricInterpretation, bitsAllocated, bitsStored, pixelRepresentation }: ImagePixelFormat,
  attributes: DicomDataset,
  uid: string,
): Float32Array {
  if (!/^MONOCHROME[12]$/.test(photometricInterpretation))
    throw bad(uid, `is ${photometricInterpretation}; MONOCHROME1 and MONOCHROME2 are read of one sample a pixel`);
  if (bitsAllocated !== 8 && bitsAllocated !== 16)
    throw bad(uid, `has pixels of ${bitsAllocated} bits; 8 and 16 are read`);
  if (attributes.items(tags.ModalityLUTSequence).length > 0)
    throw bad(uid, 'has a modality LUT, which is not applied to pictures');
  const slope = attributes.number(tags.RescaleSlope) ?? 1;
  const intercept = attributes.number(tags.RescaleIntercept) ?? 0;
  if (slope === 0) throw bad(uid, 'has RescaleSlope 0');
  const [least, most] =
    pixelRepresentation === 1 ? [-(2 ** (bitsStored - 1)), 2 ** (bitsStored - 1) - 1] : [0, 2 ** bitsStored - 1];
  const view = new DataView(pixels.buffer, pixels.byteOffset, pixels.byteLength);
  const count = (pixels.byteLength * 8) / bitsAllocated;
  const values = new Float32Array(new SharedArrayBuffer(count * 4));
  const unused = 32 - bitsStored;
  for (let at = 0; at < count; at++) {
    const raw = bitsAllocated === 8 ? view.getUint8(at) : view.getUint16(at * 2, true);
    const stored = pixelRepresentation === 1 ? (raw << unused) >> unused : (raw << unused) >>> unused;
    values[at] = (photometricInterpretation === 'MONOCHROME1' ? least + most - stored : stored) * slope + intercept;
  }
  return values;
}

const bad = (uid: string, what: string): EndpointError =>
  new EndpointError('unprocessable_image', `Instance ${uid} ${what}.`);
