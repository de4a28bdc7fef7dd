import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readPart10 } from '../../src/formats/dicom/part10-reader.ts';
import { writePart10 } from '../../src/formats/dicom/part10-writer.ts';
import { tags } from '../../src/formats/dicom/tags.ts';

/** Copies a series into a folder; `change` gives other bytes, or undefined to leave the file out. */
export function copySeries(
  from: string,
  to: string,
  change: (name: string, bytes: Buffer) => Uint8Array | undefined,
): void {
  for (const name of readdirSync(from)) {
    const bytes = change(name, readFileSync(join(from, name)));
    if (bytes) writeFileSync(join(to, name), bytes);
  }
}

/** A single-frame DICOM file with other values of some attributes. */
export function rewriteDicom(
  bytes: Uint8Array,
  values: Readonly<Record<number, [vr: string, value: string]>>,
): Uint8Array {
  const file = readPart10(bytes);
  for (const [tag, [vr, value]] of Object.entries(values)) file.dataset.set(Number(tag), vr, value);
  return writePart10(file.dataset, {
    sopClassUid: file.dataset.string(tags.SOPClassUID) as string,
    sopInstanceUid: file.dataset.string(tags.SOPInstanceUID) as string,
    transferSyntaxUid: file.transferSyntaxUid,
    pixelData: { bytes: file.frame(0), vr: 'OW' },
  });
}
