import { describe, expect, it } from 'vitest';
import { type CtSeriesDescription, writeCtSeries } from '../../../../src/formats/dicom/ct-writer.ts';
import { readPart10 } from '../../../../src/formats/dicom/part10-reader.ts';
import { tags } from '../../../../src/formats/dicom/tags.ts';
import type { Affine } from '../../../../src/imaging/affine.ts';

const description: CtSeriesDescription = {
  patient: { name: 'A^B', id: '1' },
  study: { instanceUid: '2.25.1', id: '1', date: '20260101', time: '120000', description: 'Phantom' },
  series: {
    instanceUid: '2.25.2',
    number: 1,
    description: 'Axial',
    frameOfReferenceUid: '2.25.3',
    bodyPart: 'ABDOMEN',
  },
  sopInstanceUid: (k) => `2.25.10${k}`,
  equipment: { manufacturer: 'm', modelName: 'n', serialNumber: 's', softwareVersions: 'v' },
};
const affineRas: Affine = [-0.5, 0, 0, 10, 0, -0.75, 0, 20, 0, 0, 3, -30, 0, 0, 0, 1];

describe('writeCtSeries', () => {
  it('gives a file a slice, with values by rescale and positions in LPS', () => {
    const data = Int16Array.from({ length: 2 * 3 * 4 }, (_, at) => at * 100 - 1024);
    const files = [...writeCtSeries({ data, shape: [2, 3, 4], affineRas }, description)];
    expect(files.map(({ sopInstanceUid, instanceNumber }) => [sopInstanceUid, instanceNumber])).toEqual(
      [0, 1, 2, 3].map((k) => [`2.25.10${k}`, k + 1]),
    );
    files.forEach(({ bytes }, k) => {
      const { dataset, frame } = readPart10(bytes);
      const stored = new Int16Array(new Uint8Array(frame(0)).buffer);
      const intercept = dataset.number(tags.RescaleIntercept) as number;
      expect([...stored].map((value) => value + intercept)).toEqual([...data.subarray(k * 6, k * 6 + 6)]);
      expect(dataset.numbers(tags.ImagePositionPatient)).toEqual([-10, -20, -30 + 3 * k]);
      expect(dataset.numbers(tags.ImageOrientationPatient)).toEqual([1, 0, 0, 0, 1, 0]);
      expect(dataset.numbers(tags.PixelSpacing)).toEqual([0.75, 0.5]);
    });
  });

  it('refuses values it cannot store and data of another size', () => {
    const write = (data: Int16Array) => [...writeCtSeries({ data, shape: [1, 1, 1], affineRas }, description)];
    expect(() => write(Int16Array.of(32_000))).toThrow(/beyond/);
    expect(() => write(Int16Array.of(1, 2))).toThrow(/number of voxels/);
  });
});
