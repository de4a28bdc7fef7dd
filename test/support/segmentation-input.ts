import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { imagePixelFormat } from '../../src/formats/dicom/image-pixel.ts';
import { readPart10 } from '../../src/formats/dicom/part10-reader.ts';
import type { SegmentDescription } from '../../src/formats/dicom/seg/segment-description.ts';
import type { SegmentationInput } from '../../src/formats/dicom/seg-writer.ts';
import { tags } from '../../src/formats/dicom/tags.ts';

/** Slices of a folder of single-frame CT or MR files, ordered by their position along the first slice's normal. */
export function readSlices(folder: string): SegmentationInput['sources'] {
  const slices = readdirSync(folder).map((name) => readPart10(readFileSync(join(folder, name))).dataset);
  const [first] = slices;
  const [rx = 1, ry = 0, rz = 0, cx = 0, cy = 1, cz = 0] = first?.numbers(tags.ImageOrientationPatient) ?? [];
  const normal = [ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx];
  const height = (slice: (typeof slices)[number]) =>
    (slice.numbers(tags.ImagePositionPatient) ?? []).reduce((sum, value, axis) => sum + value * (normal[axis] ?? 0), 0);
  return slices.sort((a, b) => height(a) - height(b)).map((attributes) => ({ attributes }));
}

export const testSegment = (value: number, label: string): SegmentDescription => ({
  value,
  label,
  category: ['123037004', 'SCT', 'Anatomical Structure'],
  propertyType: ['78961009', 'SCT', 'Spleen'],
  algorithmName: 'Test network',
  algorithmVersion: '1.0.0',
});

/** An input on the given slices; `grid` and `segments` are the test's own. */
export function segmentationInput(
  sources: SegmentationInput['sources'],
  rest: Pick<SegmentationInput, 'grid' | 'segments'>,
): SegmentationInput {
  const format = imagePixelFormat((sources[0] as SegmentationInput['sources'][number]).attributes);
  return {
    sources,
    columns: format.columns,
    rows: format.rows,
    uids: { seriesInstanceUid: '2.25.11', sopInstanceUid: '2.25.12', dimensionOrganizationUid: '2.25.13' },
    seriesDescription: 'AI segmentation, not for clinical use',
    seriesNumber: 9001,
    contentDate: '20260102',
    contentTime: '030405',
    equipment: {
      manufacturer: 'map-endpoint',
      modelName: 'map-endpoint',
      serialNumber: '1',
      softwareVersions: '0.1.0',
    },
    model: { name: 'test', version: '1.0.0', sha256: 'ab'.repeat(32) },
    ...rest,
  };
}

/** Three labels with odd borders (balls that are cut by the edges, and single voxels in the corners). */
export function ballLabels(columns: number, rows: number, slices: number): Uint8Array {
  const labels = new Uint8Array(columns * rows * slices);
  const balls = [
    [0.2, 0.3, 0.4, 0.25, 1],
    [0.7, 0.6, 0.6, 0.3, 2],
    [1, 1, 1, 0.2, 5],
  ] as const;
  for (let k = 0; k < slices; k++) {
    for (let j = 0; j < rows; j++) {
      for (let i = 0; i < columns; i++) {
        for (const [x, y, z, radius, value] of balls) {
          const distance = Math.hypot(i / columns - x, j / rows - y, k / slices - z);
          if (distance < radius) labels[i + columns * (j + rows * k)] = value;
        }
      }
    }
  }
  labels[0] = 1;
  labels[labels.length - 1] = 2;
  return labels;
}
