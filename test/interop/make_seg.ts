/**
 * Writes what `test_seg.py` judges: `tsx make_seg.ts SERIES_FOLDER OUT_FOLDER [labels|masks|empty]` makes `seg.dcm`, the
 * grid that it was made of (`grid.raw`, bytes, one block a segment for masks) and `grid.json` with the sources in order.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { imagePixelFormat } from '../../src/formats/dicom/image-pixel.ts';
import { writeSegmentation } from '../../src/formats/dicom/seg-writer.ts';
import { tags } from '../../src/formats/dicom/tags.ts';
import { ballLabels, readSlices, segmentationInput, testSegment } from '../support/segmentation-input.ts';

const [folder, out, kind] = process.argv.slice(2) as [string, string, 'labels' | 'masks' | 'empty'];
const sources = readSlices(folder);
const { rows, columns } = imagePixelFormat((sources[0] as (typeof sources)[number]).attributes);
const labels =
  kind === 'empty' ? new Uint8Array(columns * rows * sources.length) : ballLabels(columns, rows, sources.length);
const segments = [testSegment(1, 'Milz'), testSegment(2, 'Ünïcode 脾臓'), testSegment(5, 'Corner')];
// Masks that overlap: every segment also takes the next one's voxels.
const masks = [[1, 2], [2, 5], [5]].map((own) => labels.map((label) => (own.includes(label) ? 1 : 0)));
const grid = kind === 'masks' ? ({ kind: 'masks', masks } as const) : ({ kind: 'labels', data: labels } as const);
const written = writeSegmentation(segmentationInput(sources, { grid, segments }));
mkdirSync(out, { recursive: true });
writeFileSync(join(out, 'seg.dcm'), written.bytes);
writeFileSync(join(out, 'grid.raw'), kind === 'masks' ? Buffer.concat(masks) : labels);
writeFileSync(
  join(out, 'grid.json'),
  JSON.stringify({
    kind,
    shape: [columns, rows, sources.length],
    values: segments.map(({ value }) => value),
    labels: segments.map(({ label }) => label),
    sources: sources.map(({ attributes }) => attributes.string(tags.SOPInstanceUID)),
    emptySegments: written.emptySegments,
    numberOfFrames: written.numberOfFrames,
  }),
);
