import { EndpointError } from '../../errors.ts';
import type { DicomDataset } from '../../formats/dicom/dataset.ts';
import { tags } from '../../formats/dicom/dictionary.ts';

/** A Modality LUT (PS3.3 C.11.1): stored value → value in its unit. */
export interface ModalityLut {
  /** Stored value of the first entry; what lies below takes the first, what lies above the last. */
  readonly first: number;
  readonly entries: Uint16Array;
}

/** Reads the item of a Modality LUT Sequence. @throws EndpointError `unprocessable_image` */
export function readModalityLut(item: DicomDataset, sopInstanceUid: string): ModalityLut {
  const descriptor = item.numbers(tags.LUTDescriptor);
  const bytes = item.bytes(tags.LUTData);
  const numbers = item.numbers(tags.LUTData);
  const [declared, first, bits] = descriptor ?? [];
  if (declared === undefined || first === undefined || (bits !== 8 && bits !== 16)) throw bad(sopInstanceUid);
  const count = declared === 0 ? 65_536 : declared;
  const entries = bytes ? fromBytes(bytes, count) : Uint16Array.from(numbers ?? []);
  if (entries.length !== count) throw bad(sopInstanceUid);
  return { first, entries };
}

/** Replaces the stored values of a slice by the table's. */
export function applyModalityLut({ first, entries }: ModalityLut, slice: Float32Array): void {
  const last = entries.length - 1;
  for (let at = 0; at < slice.length; at++) {
    const index = Math.min(last, Math.max(0, (slice[at] as number) - first));
    slice[at] = entries[index] as number;
  }
}

/** 16-bit words, or one byte an entry as some writers pack 8-bit tables. */
function fromBytes(bytes: Uint8Array, count: number): Uint16Array {
  if (bytes.length < count * 2) return Uint16Array.from(bytes.subarray(0, count));
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint16Array.from({ length: count }, (_, index) => view.getUint16(index * 2, true));
}

function bad(sopInstanceUid: string): EndpointError {
  return new EndpointError('unprocessable_image', `Instance ${sopInstanceUid} has a damaged modality LUT.`);
}
