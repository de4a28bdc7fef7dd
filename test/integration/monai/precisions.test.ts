import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { InThreadPool } from '../../../src/compute/pool.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import type { CompiledBundle } from '../../../src/monai/bundle/compiled-bundle.ts';
import { never, startPool, type TestPool } from '../../support/sessions.ts';

// Made by test/parity/make_precision_models.py.
const file = new URL('../../parity/fixtures/precisions.json', import.meta.url);
const models = JSON.parse(await readFile(file, 'utf8')) as Record<string, string>;
const shape = [12, 10, 9] as const;
const voxels = Float32Array.from({ length: 12 * 10 * 9 }, (_, n) => Math.sin(n / 7) * Math.cos(n / 31));
const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] as const;

let dir = '';
let sessions: TestPool;
let bundle: CompiledBundle;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'precisions-'));
  await mkdir(join(dir, 'configs'));
  await writeFile(join(dir, 'configs/metadata.json'), '{"version":"1"}');
  const transforms = ['LoadImaged', 'EnsureChannelFirstd'].map((name) => ({ _target_: name, keys: 'image' }));
  const config = {
    preprocessing: { _target_: 'Compose', transforms },
    inferer: { _target_: 'SlidingWindowInferer', roi_size: [8, 8, 8], overlap: 0.5, sw_batch_size: 4 },
    postprocessing: { _target_: 'Compose', transforms: [] },
  };
  await writeFile(join(dir, 'configs/inference.json'), JSON.stringify(config));
  bundle = await compileBundle(dir);
  sessions = await startPool({ workers: 1 });
});
afterAll(async () => {
  await sessions.close();
  await rm(dir, { recursive: true });
});

async function run(name: string, gainsFromBatches = false) {
  const path = join(dir, `${name}.onnx`);
  await writeFile(path, Buffer.from(models[name] as string, 'base64'));
  const key = `${name} ${gainsFromBatches}`;
  const { signature } = await sessions.pool.load(key, path, never);
  bundle.checkNetwork(signature);
  const network = sessions.networks.networkOf(key, signature, 2, gainsFromBatches);
  const options = { pool: new InThreadPool(), signal: never, network, progress: () => {} };
  const { channels } = await bundle.run({ data: voxels, shape, affineRas: identity }, options);
  await sessions.pool.unload(key);
  return channels as readonly Float32Array[];
}

/** Largest difference from the float32 network, in parts of the largest value. */
async function difference(name: string, gainsFromBatches = false): Promise<number> {
  const [full, other] = [await run('float32'), await run(name, gainsFromBatches)];
  let [largest, worst] = [0, 0];
  full.forEach((channel, c) => {
    channel.forEach((value, at) => {
      largest = Math.max(largest, Math.abs(value));
      worst = Math.max(worst, Math.abs(value - (other[c]?.[at] as number)));
    });
  });
  return worst / largest;
}

it.each([
  ['float16', 2e-3],
  ['bfloat16 weights', 4e-3],
  ['int8 QDQ', 0.03],
  ['int8 operators', 0.03],
])('runs a network in %s', async (name, tolerance) => {
  const worst = await difference(name);
  expect(worst).toBeLessThan(tolerance);
  expect(worst).toBeGreaterThan(0);
});

it('runs several windows at once where that is a gain', async () => {
  expect(await difference('float32', true)).toBeLessThan(1e-6);
});
