/** Writes what `test_ct.py` judges: `tsx make_ct.ts OUT_FOLDER` makes an oblique CT series and `volume.json`. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeCtSeries } from '../../src/formats/dicom/ct-writer.ts';
import type { Affine } from '../../src/imaging/affine.ts';

const [out] = process.argv.slice(2) as [string];
const shape = [7, 5, 4] as const;
const data = Int16Array.from({ length: 7 * 5 * 4 }, (_, at) => at * 37 - 1200);
const [cos, sin] = [Math.cos(0.3), Math.sin(0.3)];
// Columns run to the patient's left and back, rows down, slices along their normal.
const affineRas: Affine = [-0.7 * cos, 0.9 * sin, 0, 10.5, -0.7 * sin, -0.9 * cos, 0, -20.25, 0, 0, 3.2, 5, 0, 0, 0, 1];
mkdirSync(out, { recursive: true });
const files = writeCtSeries(
  { data, shape, affineRas },
  {
    patient: { name: 'Müller^Jürgen=王^小東', id: 'P1', birthDate: '19700101', sex: 'O' },
    study: { instanceUid: '2.25.1', id: '1', date: '20260102', time: '030405', description: 'Phantom' },
    series: {
      instanceUid: '2.25.2',
      number: 1,
      description: 'Axial',
      frameOfReferenceUid: '2.25.3',
      bodyPart: 'ABDOMEN',
    },
    sopInstanceUid: (k) => `2.25.10${k}`,
    equipment: { manufacturer: 'map-endpoint', modelName: 'phantom', serialNumber: '1', softwareVersions: '1' },
    window: { center: 40, width: 400 },
  },
);
for (const { instanceNumber, bytes } of files) writeFileSync(join(out, `CT${instanceNumber}.dcm`), bytes);
writeFileSync(join(out, 'volume.json'), JSON.stringify({ shape, data: [...data], affineRas }));
