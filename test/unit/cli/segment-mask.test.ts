import { describe, expect, it } from 'vitest';
import { diceOverlap, segmentMask } from '../../../src/cli/demo/segment-mask.ts';
import { writeCtSeries } from '../../../src/formats/dicom/ct-writer.ts';
import { readPart10 } from '../../../src/formats/dicom/part10-reader.ts';
import { writeSegmentation } from '../../../src/formats/dicom/seg-writer.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import type { Volume } from '../../../src/imaging/volume.ts';

const shape = [13, 9, 5] as const;
const voxels = 13 * 9 * 5;
// Turned by 30 degrees about z, so that rows and columns of the frames mix the axes of the patient.
const [c, s] = [Math.cos(Math.PI / 6), Math.sin(Math.PI / 6)];
const affineRas: Affine = [-0.8 * c, 0.7 * s, 0, 11, -0.8 * s, -0.7 * c, 0, 23, 0, 0, 2.5, -40, 0, 0, 0, 1];
const image: Volume<Int16Array> = { data: new Int16Array(voxels), shape, affineRas };
const equipment = { manufacturer: 'm', modelName: 'm', serialNumber: '1', softwareVersions: '1' };

function segmentation(labels: Uint8Array): Uint8Array {
  const series = writeCtSeries(image, {
    patient: { name: 'A^B', id: '1' },
    study: { instanceUid: '2.25.1', id: '1', date: '20260101', time: '120000', description: 's' },
    series: { instanceUid: '2.25.2', number: 1, description: 's', frameOfReferenceUid: '2.25.3', bodyPart: 'ABDOMEN' },
    sopInstanceUid: (k) => `2.25.10${k}`,
    equipment,
  });
  const segment = (value: number) => ({
    value,
    label: `s${value}`,
    category: ['123037004', 'SCT', 'Anatomical Structure'] as const,
    propertyType: ['78961009', 'SCT', 'Spleen'] as const,
    algorithmName: 'a',
    algorithmVersion: '1',
  });
  return writeSegmentation({
    sources: [...series].map(({ bytes }) => ({ attributes: readPart10(bytes).dataset })),
    columns: shape[0],
    rows: shape[1],
    grid: { kind: 'labels', data: labels },
    segments: [segment(1), segment(2)],
    uids: { seriesInstanceUid: '2.25.4', sopInstanceUid: '2.25.5', dimensionOrganizationUid: '2.25.6' },
    seriesDescription: 's',
    seriesNumber: 2,
    contentDate: '20260101',
    contentTime: '120000',
    equipment,
    model: { name: 'm', version: '1', sha256: '0'.repeat(64) },
  }).bytes;
}

const labels = Uint8Array.from({ length: voxels }, (_, n) => (n * 7919) % 3);
const maskOf = (value: number): Uint8Array => labels.map((label) => (label === value ? 1 : 0));

describe('the mask of a segment', () => {
  it.each([1, 2])('has every voxel of segment %i in its place, on a turned grid', (value) => {
    const mask = segmentMask(segmentation(labels), image, value);
    expect(mask).toEqual(maskOf(value));
    expect(diceOverlap(mask, maskOf(value))).toBe(1);
  });

  it('is refused when the frames lie between the voxels of the grid', () => {
    const shifted = affineRas.map((value, n) => (n === 3 ? value + 0.3 : value)) as unknown as Affine;
    const off = { ...image, affineRas: shifted };
    expect(() => segmentMask(segmentation(labels), off, 1)).toThrow(/off the image's grid/);
  });

  it('overlaps by twice what is shared over what there is', () => {
    expect(diceOverlap(Uint8Array.of(1, 1, 0, 0), Uint8Array.of(0, 1, 1, 0))).toBe(0.5);
    expect(diceOverlap(Uint8Array.of(0, 0), Uint8Array.of(0, 0))).toBe(0);
  });
});
