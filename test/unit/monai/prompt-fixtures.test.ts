import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import type { Network } from '../../../src/imaging/network.ts';
import type { Volume } from '../../../src/imaging/volume.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import type { ResultImage } from '../../../src/monai/bundle/compiled-bundle.ts';
import type { Click } from '../../../src/monai/points.ts';

// The answers of MONAI and of the model zoo's own scripts, made by test/parity/make_prompt_fixtures.py.
interface Case {
  readonly bundle: string;
  readonly config: unknown;
  readonly inputs: Readonly<Record<string, Input>>;
  readonly clicks: Readonly<Record<string, readonly (readonly [number, number, number?])[]>>;
  /** Channels of the network's answer. */
  readonly out: number;
  readonly given: Answer;
  readonly result: Answer;
}
interface Input {
  readonly shape: readonly [number, number, number?];
  readonly affine: Affine;
  readonly flat: boolean;
  readonly voxels: readonly string[];
}
interface Answer {
  readonly shape: readonly number[];
  readonly channels: readonly string[];
}

const file = new URL('../../parity/fixtures/prompts.json.gz', import.meta.url);
const cases = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as Case[];
const floats = (text: string): Float32Array => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);

/** The network of make_prompt_fixtures.py: each channel another mixture of the input's. */
function mixture(out: number, axes: number): Network {
  return {
    inputs: [{ name: 'x', type: 'float32', dims: [-1, -1, ...Array.from({ length: axes }, () => -1)] }],
    outputs: [{ name: 'y', type: 'float32', dims: [-1, out, ...Array.from({ length: axes }, () => -1)] }],
    concurrency: 2,
    gainsFromBatches: false,
    run: async ({ x }) => {
      const [rows = 1, channels = 1, ...sizes] = x?.dims ?? [];
      const voxels = sizes.reduce((product, size) => product * size, 1);
      const given = x?.data as Float32Array;
      const data = new Float32Array(rows * out * voxels);
      for (let row = 0; row < rows; row++) {
        for (let c = 0; c < out; c++) {
          for (let p = 0; p < voxels; p++) {
            let sum = 0;
            for (let k = 0; k < channels; k++)
              sum += ((given[(row * channels + k) * voxels + p] as number) - 0.5) * (((c * 5 + k * 3) % 7) * 2 - 6);
            data[(row * out + c) * voxels + p] = sum + c / 32;
          }
        }
      }
      return { y: { type: 'float32', dims: [rows, out, ...sizes], data } };
    },
  };
}

const volumesOf = ({ shape: [nx, ny, nz = 1], affine, flat, voxels }: Input): Volume[] =>
  voxels.map((text) => ({
    data: flat ? Uint8Array.from(floats(text)) : Int16Array.from(floats(text)),
    shape: [nx, ny, nz],
    affineRas: affine,
    isPlane: flat,
  }));

function clicksOf({ clicks, bundle }: Case): Click[] {
  const hasLabels = bundle !== 'pathology_nuclick_annotation';
  return Object.entries(clicks).flatMap(([label, points]) =>
    points.map(([x, y, z = 0]) => ({ voxel: [x, y, z] as const, ...(hasLabels ? { label } : {}) })),
  );
}

function worst(got: ResultImage, expected: Answer): number {
  expect([...got.shape]).toEqual([...expected.shape, 1].slice(0, 3));
  expect(got.channels.length).toBe(expected.channels.length);
  return Math.max(
    ...expected.channels.map((text, c) => {
      const values = got.channels[c] as Float32Array;
      return floats(text).reduce((most, value, n) => Math.max(most, Math.abs(value - (values[n] as number))), 0);
    }),
  );
}

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'prompt-fixtures-'));
  await mkdir(join(dir, 'configs'));
  await writeFile(join(dir, 'configs/metadata.json'), '{"version":"1"}');
});
afterAll(() => rm(dir, { recursive: true }));

describe('bundles with clicks and with code of their own, as MONAI runs them', () => {
  it.each(cases.map((one, n) => [n, one.bundle, one] as const))('%i: %s', async (_n, _name, one) => {
    await writeFile(join(dir, 'configs/inference.json'), JSON.stringify(one.config));
    const bundle = await compileBundle(dir);
    const volumes = Object.fromEntries(Object.entries(one.inputs).map(([key, input]) => [key, volumesOf(input)]));
    expect(Object.keys(volumes)).toEqual(bundle.flow.loads);
    const isFlat = Object.values(one.inputs).some(({ flat }) => flat);
    const signal = new AbortController().signal;
    const options = { pool: new InThreadPool(), signal, clicks: clicksOf(one), progress: () => {} };
    expect(worst(await bundle.preprocess(volumes, options, isFlat), one.given)).toBeLessThan(1e-5);
    const results = await bundle.runAll(volumes, { ...options, network: mixture(one.out, isFlat ? 2 : 3) });
    expect(worst(results.get('pred') as ResultImage, one.result)).toBe(0);
  });
});
