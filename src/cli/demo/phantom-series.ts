import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeCtSeries } from '../../formats/dicom/ct-writer.ts';
import type { Volume } from '../../imaging/volume.ts';

/**
 * Writes a rendered phantom as a CT series, `CT0001.dcm` and on, of a patient whose name says that there is none. The
 * UIDs derive from the voxels: the same phantom is the same series, another one is another.
 */
export async function writePhantomSeries(dir: string, image: Volume<Int16Array>): Promise<void> {
  const { buffer, byteOffset, byteLength } = image.data;
  const seed = createHash('sha256')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex');
  const uid = (role: string): string => uidOf(`${seed}/${role}`);
  const series = writeCtSeries(image, {
    patient: { name: 'Phantom^Analytic', id: 'PHANTOM', sex: 'O' },
    study: {
      instanceUid: uid('study'),
      id: 'PHANTOM',
      date: '20260101',
      time: '120000',
      description: 'Rendered phantom, no patient',
    },
    series: {
      instanceUid: uid('series'),
      number: 1,
      description: 'Analytic abdomen phantom',
      frameOfReferenceUid: uid('frame of reference'),
      bodyPart: 'ABDOMEN',
    },
    sopInstanceUid: (k) => uid(`instance ${k}`),
    equipment: {
      manufacturer: 'map-endpoint',
      modelName: 'phantom renderer',
      serialNumber: '1',
      softwareVersions: '1',
    },
    window: { center: 50, width: 400 },
  });
  for (const { instanceNumber, bytes } of series) {
    await writeFile(join(dir, `CT${String(instanceNumber).padStart(4, '0')}.dcm`), bytes);
  }
}

/** A UID under 2.25 (PS3.5 B.2): the 128 bits of a name-based UUID, version 8. */
function uidOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16);
  bytes[6] = ((bytes[6] as number) & 0x0f) | 0x80;
  bytes[8] = ((bytes[8] as number) & 0x3f) | 0x80;
  return `2.25.${BigInt(`0x${bytes.toString('hex')}`)}`;
}
