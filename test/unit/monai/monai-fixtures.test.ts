import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import type { Network } from '../../../src/imaging/network.ts';
import type { Shape3, VoxelArray } from '../../../src/imaging/volume.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import type { ResultImage } from '../../../src/monai/bundle/compiled-bundle.ts';

// MONAI's own answers, made by test/parity/make_fixtures.py.
interface Answer {
  readonly shape: Shape3;
  readonly channels: readonly string[];
  readonly affine: Affine;
}
interface Case {
  readonly name: string;
  readonly config: unknown;
  readonly channels: number;
  readonly image: string;
  readonly pre: Answer;
  readonly pred?: Answer;
}
interface Fixtures {
  readonly images: Readonly<Record<string, { shape: Shape3; voxels: string; affine: Affine }>>;
  readonly cases: readonly Case[];
}

const file = new URL('../../parity/fixtures/monai.json.gz', import.meta.url);
const fixtures = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as Fixtures;
const floats = (text: string): Float32Array => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);

/** The network of make_fixtures.py: depends on the value and on the place inside the window. */
function fixedNetwork(channels: number): Network {
  const [scale, shift, ramp] = [
    [1, -0.5, 0.75],
    [0, 0.3125, -0.125],
    [0.5, 1, -0.25],
  ] as [number[], number[], number[]];
  return {
    inputs: [{ name: 'x', type: 'float32', dims: [1, 1, -1, -1, -1] }],
    outputs: [{ name: 'y', type: 'float32', dims: [1, channels, -1, -1, -1] }],
    concurrency: 2,
    run: async (inputs) => {
      const x = inputs.x;
      const [, , nx = 0, ny = 0, nz = 0] = x?.dims ?? [];
      const voxels = nx * ny * nz;
      const data = new Float32Array(channels * voxels);
      for (let p = 0; p < voxels; p++) {
        const [i, j, k] = [Math.floor(p / (ny * nz)), Math.floor(p / nz) % ny, p % nz];
        const place = ((i * 7 + j * 3 + k * 5) % 11) / 16;
        for (let c = 0; c < channels; c++) {
          const scaled = Math.fround((x?.data[p] as number) * (scale[c] as number));
          data[c * voxels + p] = Math.fround(scaled + (shift[c] as number)) + place * (ramp[c] as number);
        }
      }
      return { y: { type: 'float32', dims: [1, channels, nx, ny, nz], data } };
    },
  };
}

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'monai-fixtures-'));
  await mkdir(join(dir, 'configs'));
  await writeFile(join(dir, 'configs/metadata.json'), '{"version":"1"}');
});
afterAll(() => rm(dir, { recursive: true }));

function expectEqual(got: ResultImage, expected: Answer, tolerance: number): void {
  expect(got.shape).toEqual(expected.shape);
  expect(got.channels).toHaveLength(expected.channels.length);
  for (const [n, value] of got.affineRas.entries()) expect(value).toBeCloseTo(expected.affine[n] as number, 9);
  expected.channels.forEach((text, c) => {
    const reference = floats(text);
    const values = got.channels[c] as VoxelArray;
    let worst = 0;
    for (let i = 0; i < reference.length; i++)
      worst = Math.max(worst, Math.abs((reference[i] as number) - (values[i] as number)));
    expect(worst).toBeLessThanOrEqual(tolerance);
  });
}

describe('MONAI’s answers to small bundles', () => {
  it('has cases', () => expect(fixtures.cases.length).toBeGreaterThan(200));

  for (const { name, config, channels, image, pre, pred } of fixtures.cases) {
    it(name, async () => {
      await writeFile(join(dir, 'configs/inference.json'), JSON.stringify(config));
      const bundle = await compileBundle(dir);
      const source = fixtures.images[image] as Fixtures['images'][string];
      const volume = {
        data: Int16Array.from(floats(source.voxels)),
        shape: source.shape,
        affineRas: source.affine,
      };
      const options = {
        pool: new InThreadPool(),
        signal: new AbortController().signal,
        network: fixedNetwork(channels),
        progress: () => {},
      };
      const largest = Math.max(...pre.channels.flatMap((channel) => [...floats(channel).map(Math.abs)]));
      expectEqual(await bundle.preprocess({ image: volume }, options), pre, 2e-6 * Math.max(1, largest));
      if (!pred) return;
      const result = await bundle.run(volume, options);
      expectEqual(result, pred, result.fromArgmax ? 0 : 2e-6 * Math.max(1, largest));
      if (result.fromArgmax) expectEqual(await bundle.run(volume, { ...options, denseBytes: 0 }), pred, 0);
    });
  }
});
