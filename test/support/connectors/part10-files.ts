import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { writePart10 } from '../../../src/formats/dicom/part10-writer.ts';
import { type TestSlice, testAttributes, testPixels } from './test-series.ts';

/** A slice as the bytes of a DICOM file (explicit VR little endian). */
export function testPart10(slice: TestSlice, index: number): Uint8Array {
  const attributes = testAttributes(slice, index);
  return writePart10(attributes, {
    sopClassUid: attributes.string(tags.SOPClassUID) as string,
    sopInstanceUid: attributes.string(tags.SOPInstanceUID) as string,
    transferSyntaxUid: '1.2.840.10008.1.2.1',
    pixelData: { bytes: new Uint8Array(testPixels(slice, index).buffer), vr: 'OW' },
  });
}

/** Writes slices as files of a folder. */
export function writeTestFolder(folder: string, slices: readonly TestSlice[]): string {
  mkdirSync(folder, { recursive: true });
  for (const [index, slice] of slices.entries())
    writeFileSync(join(folder, `${index + 1}.dcm`), testPart10(slice, index));
  return folder;
}
