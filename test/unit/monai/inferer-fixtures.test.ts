import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InThreadPool } from '../../../src/compute/pool.ts';
import { fromHalf, toHalf } from '../../../src/imaging/float16.ts';
import type { Network } from '../../../src/imaging/network.ts';
import type { Tensor } from '../../../src/imaging/tensor.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';

// MONAI's own answers, made by test/parity/make_inferer_fixtures.py.
interface Case {
  readonly inferer: { readonly _target_: string };
  readonly shape: readonly number[];
  readonly voxels: string;
  readonly half?: true;
  readonly channels: readonly string[];
}

const file = new URL('../../parity/fixtures/inferers.json.gz', import.meta.url);
const cases = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as Case[];
const floats = (text: string): Float32Array => new Float32Array(new Uint8Array(Buffer.from(text, 'base64')).buffer);
const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] as const;
const settings = [
  [1, -0.5],
  [0, 0.3125],
  [0.5, 1],
] as const;

interface NetworkTraits {
  readonly channels: number;
  readonly axes: number;
  readonly half?: boolean | undefined;
  /** First axis of the input: a number, a name, or -1. */
  readonly batch?: number | string;
  readonly concurrency?: number;
}

/** The network of make_inferer_fixtures.py, with a log of the rows of each run. */
function fixedNetwork({ channels, axes, half, batch = -1, concurrency = 2 }: NetworkTraits) {
  const rowsRun: number[] = [];
  const type = half ? ('float16' as const) : ('float32' as const);
  const open = Array.from({ length: axes }, () => -1);
  const network: Network = {
    inputs: [{ name: 'x', type, dims: [batch, 1, ...open] }],
    outputs: [{ name: 'y', type, dims: [batch, channels, ...open] }],
    concurrency,
    gainsFromBatches: typeof batch === 'string',
    run: async ({ x }) => {
      const [rows = 0, , ...sizes] = x?.dims ?? [];
      rowsRun.push(rows);
      if (sizes.length !== axes || x?.type !== type || (typeof batch === 'number' && batch > 0 && rows !== batch))
        throw new Error(`The network got ${x?.type} ${x?.dims.join(' × ')}.`);
      const values = asFloats(x);
      const voxels = values.length / rows;
      const data = new Float32Array(rows * channels * voxels);
      for (let row = 0; row < rows; row++) {
        for (let p = 0; p < voxels; p++) {
          const place = placeOf(p, sizes);
          for (let c = 0; c < channels; c++) {
            const scaled = Math.fround((values[row * voxels + p] as number) * (settings[0][c] as number));
            const shifted = Math.fround(scaled + (settings[1][c] as number));
            data[(row * channels + c) * voxels + p] = shifted + place * (settings[2][c] as number);
          }
        }
      }
      return { y: asTensor(type, [rows, channels, ...sizes], data) };
    },
  };
  return { network, rowsRun };
}

function placeOf(p: number, sizes: readonly number[]): number {
  let rest = p;
  let sum = 0;
  for (let axis = sizes.length - 1; axis >= 0; axis--) {
    const size = sizes[axis] as number;
    sum += (rest % size) * ([7, 3, 5][axis] as number);
    rest = Math.floor(rest / size);
  }
  return (sum % 11) / 16;
}

function asFloats({ data }: Tensor): Float32Array {
  if (!(data instanceof Uint16Array)) return data as Float32Array;
  const values = new Float32Array(data.length);
  fromHalf(data, values);
  return values;
}

function asTensor(type: 'float16' | 'float32', dims: number[], values: Float32Array): Tensor {
  if (type === 'float32') return { type, dims, data: values };
  const data = new Uint16Array(values.length);
  toHalf(values, data);
  return { type, dims, data };
}

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferer-fixtures-'));
  await mkdir(join(dir, 'configs'));
  await writeFile(join(dir, 'configs/metadata.json'), '{"version":"1"}');
});
afterAll(() => rm(dir, { recursive: true }));

async function run({ inferer, shape, voxels }: Pick<Case, 'inferer' | 'shape' | 'voxels'>, network: Network) {
  const transforms = ['LoadImaged', 'EnsureChannelFirstd'].map((name) => ({ _target_: name, keys: 'image' }));
  const config = { preprocessing: { _target_: 'Compose', transforms }, inferer, postprocessing: [] };
  const postprocessing = { _target_: 'Compose', transforms: [] };
  await writeFile(join(dir, 'configs/inference.json'), JSON.stringify({ ...config, postprocessing }));
  const bundle = await compileBundle(dir);
  const [nx, ny, nz = 1] = shape as [number, number, number?];
  const volume = { data: Int16Array.from(floats(voxels)), shape: [nx, ny, nz] as const, affineRas: identity };
  const signal = new AbortController().signal;
  bundle.checkNetwork(network);
  return bundle.run(volume, { pool: new InThreadPool(), signal, network, progress: () => {} });
}

function worstDifference(got: ArrayLike<number>, expected: Float32Array): number {
  expect(got).toHaveLength(expected.length);
  let worst = 0;
  for (let i = 0; i < expected.length; i++)
    worst = Math.max(worst, Math.abs((got[i] as number) - (expected[i] as number)));
  return worst;
}

const traitsOf = ({ inferer, shape, channels, half }: Case): NetworkTraits => ({
  channels: channels.length,
  axes: inferer._target_ === 'SliceInferer' ? 2 : shape.length,
  half,
});

describe('MONAI’s inferers', () => {
  it('has cases', () => expect(cases.length).toBeGreaterThan(80));

  it.each(cases.map((one, n) => [`${n} ${JSON.stringify(one.inferer)} of ${one.shape.join('×')}`, one] as const))(
    '%s',
    async (_, one) => {
      const result = await run(one, fixedNetwork(traitsOf(one)).network);
      expect(result.channels).toHaveLength(one.channels.length);
      one.channels.forEach((text, c) => {
        const expected = floats(text);
        const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
        expect(worstDifference(result.channels[c] as Float32Array, expected)).toBeLessThanOrEqual(1e-6 * largest);
      });
    },
  );

  it('gives the same bits whatever the batch axis of the ONNX file is, and for any number of workers', async () => {
    for (const one of cases.filter(({ inferer }) => inferer._target_ !== 'SimpleInferer').slice(0, 30)) {
      const traits = traitsOf(one);
      const reference = await run(one, fixedNetwork(traits).network);
      for (const batch of [1, 3, 'N'] as const) {
        for (const concurrency of [1, 4]) {
          const { network, rowsRun } = fixedNetwork({ ...traits, batch, concurrency });
          const inferer = { ...one.inferer, sw_batch_size: 4 };
          expect((await run({ ...one, inferer }, network)).channels).toEqual(reference.channels);
          if (typeof batch === 'number') expect(new Set(rowsRun)).toEqual(new Set([batch]));
          else expect(Math.max(...rowsRun)).toBeLessThanOrEqual(4);
        }
      }
    }
  });

  it('runs whole images on a network with a fixed batch', async () => {
    const one = cases.find(({ inferer, half }) => inferer._target_ === 'SimpleInferer' && !half) as Case;
    const traits = traitsOf(one);
    const { network, rowsRun } = fixedNetwork({ ...traits, batch: 4 });
    expect((await run(one, network)).channels).toEqual((await run(one, fixedNetwork(traits).network)).channels);
    expect(rowsRun).toEqual([4]);
  });
});

describe('networks of fixed size', () => {
  const sized = (dims: number[]): Network => ({
    ...fixedNetwork({ channels: 1, axes: dims.length - 2 }).network,
    inputs: [{ name: 'x', type: 'float32', dims }],
  });
  const image = { shape: [6, 5, 4], voxels: Buffer.from(new Float32Array(120).buffer).toString('base64') };
  const refusal = (inferer: Record<string, unknown>, dims: number[], shape = image.shape) =>
    run({ ...image, shape, inferer: inferer as Case['inferer'] }, sized(dims)).then(
      () => 'taken',
      (error: { code: string; message: string }) => `${error.code}: ${error.message}`,
    );
  const windows = { _target_: 'SlidingWindowInferer', roi_size: [4, 4, 4] };

  it.each<[string, Record<string, unknown>, number[], RegExp]>([
    ['windows that fit', windows, [1, 1, 4, 4, 4], /^taken$/],
    ['another window', windows, [1, 1, 8, 4, 4], /^unsupported_bundle: .*takes 8 × 4 × 4 .*windows of 4 × 4 × 4/],
    [
      'an axis of the image',
      { ...windows, roi_size: [4, -1, 4] },
      [1, 1, 4, 8, 4],
      /^unprocessable_image: .*4 × 8 × 4/,
    ],
    ['a whole image', { _target_: 'SimpleInferer' }, [1, 1, 6, 5, 4], /^taken$/],
    ['another image', { _target_: 'SimpleInferer' }, [1, 1, 6, 5, -1, 4].slice(0, 5), /^taken$/],
    ['a smaller image', { _target_: 'SimpleInferer' }, [1, 1, 8, 5, 4], /^unprocessable_image: .*takes 8 × 5 × 4/],
    ['channels', windows, [1, 4, 4, 4, 4], /^unprocessable_image: .*takes 4 channels; .*has 1/],
    ['flat windows on a volume’s network', { ...windows, roi_size: [4, 4] }, [1, 1, -1, -1, -1], /^unsupported_bundle/],
    ['slices on a volume’s network', { _target_: 'SliceInferer', roi_size: [4, 4] }, [1, 1, 4, 4, 4], /^unsupp/],
    ['a volume on a network for flat images', { _target_: 'SimpleInferer' }, [1, 1, -1, -1], /^unproc.* two axes/],
    ['a network without an image', windows, [1, 64], /^unsupported_bundle: .*2 axes/],
  ])('meets %s', async (_, inferer, dims, expected) => expect(await refusal(inferer, dims)).toMatch(expected));
});
