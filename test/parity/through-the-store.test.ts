import { cpSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readNifti } from '../../src/formats/nifti/reader.ts';
import { invertAffine, multiplyAffines } from '../../src/imaging/affine.ts';
import type { Volume } from '../../src/imaging/volume.ts';
import { resultSums, startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { shared } from '../support/shared-data.ts';
import { goldenOf, hasJudge } from './golden.ts';

interface Answer {
  readonly outputs: readonly { readonly type: string; readonly sha256: string; readonly base64: string }[];
}

const outputs = [{ type: 'dicom-seg' }, { type: 'nifti' }, { type: 'json' }];

/** Packs a bundle that also writes NIfTI, imports a series, and asks for its segmentation as any client would. */
async function segment(endpoint: TestEndpoint, bundle: string, series: string): Promise<Answer> {
  const dir = mkdtempSync(join(tmpdir(), 'bundle-'));
  cpSync(shared(`models/${bundle}`), dir, { recursive: true });
  writeFileSync(join(dir, 'map.json'), JSON.stringify({ outputs }));
  endpoint.addModel(dir, `${bundle}.tar.gz`);
  const { datastoreId, imageSets } = await endpoint.importFolder(shared(`data/${series}`));
  const response = await endpoint.invoke(`${bundle}.tar.gz`, {
    inputs: [{ datastoreId, imageSetId: imageSets[0]?.imageSetId }],
    inferenceId: 'parity',
  });
  const answer = (await response.json()) as Answer;
  expect(response.status, JSON.stringify(answer).slice(0, 300)).toBe(200);
  return answer;
}

/** Voxel by voxel in patient space: the two grids may run in other directions. */
function compareInSpace(
  ours: Volume,
  theirs: Volume,
): { differing: number; voxels: number; dice: Map<number, number> } {
  const m = multiplyAffines(invertAffine(theirs.affineRas), ours.affineRas);
  const [nx, ny, nz] = ours.shape;
  const [tx, ty, tz] = theirs.shape;
  const counts = new Map<number, [both: number, either: number]>();
  const add = (label: number, both: number, either: number): void => {
    const count = counts.get(label) ?? [0, 0];
    counts.set(label, [count[0] + both, count[1] + either]);
  };
  let differing = 0;
  for (let k = 0, n = 0; k < nz; k++) {
    for (let j = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++, n++) {
        const x = Math.round(m[0] * i + m[1] * j + m[2] * k + m[3]);
        const y = Math.round(m[4] * i + m[5] * j + m[6] * k + m[7]);
        const z = Math.round(m[8] * i + m[9] * j + m[10] * k + m[11]);
        if (x < 0 || y < 0 || z < 0 || x >= tx || y >= ty || z >= tz)
          throw new Error('The grids do not lie on each other.');
        const [a, b] = [ours.data[n] as number, theirs.data[x + tx * (y + ty * z)] as number];
        if (a !== b) differing++;
        if (a !== 0) add(a, a === b ? 1 : 0, 1);
        if (b !== 0) add(b, 0, 1);
      }
    }
  }
  const dice = new Map([...counts].map(([label, [both, either]]) => [label, (2 * both) / either]));
  return { differing, voxels: nx * ny * nz, dice };
}

async function expectParity(answer: Answer, bundle: string, image: string, labels: readonly number[]): Promise<void> {
  const golden = await goldenOf(shared(`models/${bundle}`), shared(`data/${image}`));
  const nifti = answer.outputs.find(({ type }) => type === 'nifti');
  const ours = readNifti(Buffer.from(nifti?.base64 as string, 'base64'));
  expect([...ours.shape].sort()).toEqual([...golden.labels.shape].sort());
  const { differing, voxels, dice } = compareInSpace(ours, golden.labels);
  expect(differing / voxels).toBeLessThanOrEqual(1e-4);
  expect([...dice.keys()].sort()).toEqual(labels);
  for (const label of labels) expect(dice.get(label)).toBeGreaterThanOrEqual(0.999);
}

describe.skipIf(!hasJudge)('a request through the store equals MONAI', () => {
  it.each(['spleen_ct_demo', 'spleen_ct_full'])('%s, with the same bits for 1, 2 and 4 workers', async (bundle) => {
    const sums: unknown[] = [];
    for (const workers of ['1', '2', '4']) {
      const endpoint = await startTestEndpoint({ WORKERS: workers });
      try {
        const answer = await segment(endpoint, bundle, 'ct-abdomen-30');
        await expectParity(answer, bundle, 'ct-abdomen-30.nii.gz', [1]);
        sums.push(resultSums(answer).filter(([type]) => type === 'nifti'));
      } finally {
        await endpoint.stop();
      }
    }
    expect(sums[1]).toEqual(sums[0]);
    expect(sums[2]).toEqual(sums[0]);
  });

  it('brain_tissue_mr, a sagittal series of 256 slices', async () => {
    const endpoint = await startTestEndpoint();
    try {
      const answer = await segment(endpoint, 'brain_tissue_mr', 'mr-t1-brain');
      await expectParity(answer, 'brain_tissue_mr', 'mr-t1-brain.nii.gz', [1, 2]);
    } finally {
      await endpoint.stop();
    }
  });
});
