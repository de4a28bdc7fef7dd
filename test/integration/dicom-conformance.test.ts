import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { writeCtSeries } from '../../src/formats/dicom/ct-writer.ts';
import { writeSegmentation } from '../../src/formats/dicom/seg-writer.ts';
import { ballLabels, segmentationInput, testSegment } from '../support/segmentation-input.ts';
import { syntheticSlices } from '../support/synthetic-slices.ts';

const isInstalled = spawnSync('dciodvfy', []).error === undefined;
const folder = mkdtempSync(join(tmpdir(), 'map-endpoint-conformance-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What dciodvfy finds wrong or doubtful, but for what only a DICOMDIR would need. */
function findings(bytes: Uint8Array): string[] {
  const path = join(folder, 'object.dcm');
  writeFileSync(path, bytes);
  const { stdout, stderr } = spawnSync('dciodvfy', ['-new', path], { encoding: 'utf8' });
  return `${stdout}${stderr}`.split('\n').filter((line) => /^(Error|Warning)/.test(line) && !line.includes('DICOMDIR'));
}

// .ci/run installs dciodvfy, and judges objects on the shared series with it, too (test/interop).
describe.skipIf(!isInstalled)('objects that we write, judged by dciodvfy', () => {
  const segments = [testSegment(1, 'One'), testSegment(2, 'Zwei ü'), testSegment(5, 'Five')];

  it.each([
    ['labels', { kind: 'labels', data: ballLabels(7, 5, 4) }],
    ['overlapping masks', { kind: 'masks', masks: [1, 2, 5].map(() => ballLabels(7, 5, 4)) }],
    ['an empty result', { kind: 'labels', data: new Uint8Array(140) }],
  ] as const)('a segmentation of %s', (_name, grid) => {
    const input = segmentationInput(syntheticSlices(5, 7, 4), { grid, segments });
    expect(findings(writeSegmentation(input).bytes)).toEqual([]);
  });

  it('a segmentation on a single slice', () => {
    const grid = { kind: 'labels', data: ballLabels(7, 5, 1) } as const;
    expect(findings(writeSegmentation(segmentationInput(syntheticSlices(5, 7, 1), { grid, segments })).bytes)).toEqual(
      [],
    );
  });

  it('a CT series', () => {
    const files = writeCtSeries(
      {
        data: Int16Array.from({ length: 24 }, (_, at) => at * 50 - 1024),
        shape: [2, 3, 4],
        affineRas: [-0.5, 0, 0, 10, 0, -0.75, 0, 20, 0, 0, 3, -30, 0, 0, 0, 1],
      },
      {
        patient: { name: 'A^B', id: '1', birthDate: '19700101', sex: 'O' },
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
      },
    );
    for (const { bytes } of files) expect(findings(bytes)).toEqual([]);
  });
});
