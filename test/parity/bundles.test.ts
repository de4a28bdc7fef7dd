import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ThreadPool } from '../../src/compute/pool.ts';
import { readNifti } from '../../src/formats/nifti/reader.ts';
import type { Network } from '../../src/imaging/network.ts';
import type { Volume, VoxelArray } from '../../src/imaging/volume.ts';
import { compileBundle } from '../../src/monai/bundle/compile-bundle.ts';
import type { CompiledBundle, ResultImage } from '../../src/monai/bundle/compiled-bundle.ts';
import { never, startPool, type TestPool } from '../support/sessions.ts';
import { shared } from '../support/shared-data.ts';
import { type Golden, goldenOf, hasJudge } from './golden.ts';

const cases = [
  { name: 'spleen_ct_full', image: 'data/ct-abdomen-30.nii.gz', labels: [1] },
  { name: 'spleen_ct_demo', image: 'data/ct-abdomen-30.nii.gz', labels: [1] },
  { name: 'brain_tissue_mr', image: 'data/mr-t1-brain.nii.gz', labels: [1, 2] },
];

const withConcurrency = (network: Network, concurrency: number): Network => ({
  inputs: network.inputs,
  outputs: network.outputs,
  concurrency,
  run: (inputs, signal) => network.run(inputs, signal),
});

/** Four windows at once, every other answer held back until a later window has been answered. */
function shuffled(network: Network): Network {
  let asked = 0;
  const held: (() => void)[] = [];
  const releaseAll = (): void => {
    for (const release of held.splice(0)) release();
  };
  return {
    ...withConcurrency(network, 4),
    async run(inputs, signal) {
      const number = asked++;
      const answer = await network.run(inputs, signal);
      if (number % 2 === 0) {
        const timer = setTimeout(releaseAll, 2000);
        await new Promise<void>((resolve) => held.push(resolve));
        clearTimeout(timer);
      } else setTimeout(releaseAll, 50);
      return answer;
    },
  };
}

const digest = (voxels: VoxelArray): string =>
  createHash('sha256')
    .update(new Uint8Array(voxels.buffer, voxels.byteOffset, voxels.byteLength))
    .digest('hex');

function dice(label: number, a: VoxelArray, b: VoxelArray): number {
  let both = 0;
  let either = 0;
  for (let i = 0; i < a.length; i++) {
    const [inA, inB] = [a[i] === label, b[i] === label];
    if (inA && inB) both++;
    either += Number(inA) + Number(inB);
  }
  return (2 * both) / either;
}

describe.skipIf(!hasJudge).each(cases)('$name equals MONAI', ({ name, image, labels }) => {
  const pool = new ThreadPool(2);
  let bundle: CompiledBundle;
  let volume: Volume;
  let golden: Golden;
  let sessions: TestPool;
  let network: Network;

  beforeAll(async () => {
    const dir = shared(`models/${name}`);
    golden = await goldenOf(dir, shared(image));
    bundle = await compileBundle(dir);
    volume = readNifti(await readFile(shared(image)));
    sessions = await startPool({ workers: 2 });
    const { signature } = await sessions.pool.load('model', `${dir}/models/model.onnx`, never);
    network = sessions.networks.networkOf('model', signature, 3);
  }, 900_000);
  afterAll(async () => {
    await sessions.close();
    await pool.close();
  });

  const run = (of: Network): Promise<ResultImage> =>
    bundle.run(volume, { network: of, pool, signal: never, progress: () => {} });

  it('preprocesses to the same image', async () => {
    const image = await bundle.preprocess({ image: volume }, { pool, signal: never, progress: () => {} });
    const expected = golden.preprocessed;
    const values = image.channels[0] as VoxelArray;
    expect(image.shape).toEqual(expected.shape);
    for (const [n, value] of image.affineRas.entries()) expect(value).toBeCloseTo(expected.affineRas[n] as number, 5);
    let worst = 0;
    for (let i = 0; i < values.length; i++)
      worst = Math.max(worst, Math.abs((values[i] as number) - (expected.data[i] as number)));
    expect(worst).toBeLessThanOrEqual(1e-3);
  });

  it('labels the same voxels, on the grid of the input', async () => {
    const result = await run(network);
    const expected = golden.labels;
    const values = result.channels[0] as VoxelArray;
    expect(result.fromArgmax).toBe(true);
    expect(result.channels).toHaveLength(1);
    expect(result.shape).toEqual(volume.shape);
    expect(result.shape).toEqual(expected.shape);
    for (const [n, value] of result.affineRas.entries()) expect(value).toBeCloseTo(volume.affineRas[n] as number, 6);
    let different = 0;
    for (let i = 0; i < values.length; i++) if (values[i] !== expected.data[i]) different++;
    expect(different / values.length).toBeLessThanOrEqual(1e-4);
    for (const label of labels) expect(dice(label, values, expected.data)).toBeGreaterThanOrEqual(0.999);
  });

  it('is bit-equal for 1, 2 and 4 at once, and when answers overtake each other', async () => {
    const results = [];
    // The whole brain in one run takes long and has no windows to shuffle.
    const networks =
      name === 'brain_tissue_mr' ? [network] : [1, 2, 4].map((concurrency) => withConcurrency(network, concurrency));
    for (const of of [...networks, shuffled(network)]) results.push(digest((await run(of)).channels[0] as VoxelArray));
    expect(new Set(results).size).toBe(1);
  });
});
