import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import type { Network } from '../../../src/imaging/network.ts';
import type { Shape3 } from '../../../src/imaging/volume.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import type { ResultImage } from '../../../src/monai/bundle/compiled-bundle.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'label-sink-'));
  await mkdir(join(dir, 'configs'));
  await writeFile(join(dir, 'configs/metadata.json'), '{"version":"1"}');
});
afterAll(() => rm(dir, { recursive: true }));

/** Blobs of channels: c wins where the smooth image and the place in the window say so. */
function network(channels: number, options: Partial<Network> & { nanAt?: number } = {}): Network {
  let runs = 0;
  return {
    inputs: [{ name: 'x', type: 'float32', dims: [1, 1, -1, -1, -1] }],
    outputs: [{ name: 'y', type: 'float32', dims: [1, channels, -1, -1, -1] }],
    concurrency: 2,
    run: async ({ x }) => {
      const [, , nx = 0, ny = 0, nz = 0] = x?.dims ?? [];
      const voxels = nx * ny * nz;
      const data = new Float32Array(channels * voxels);
      for (let p = 0; p < voxels; p++) {
        const edge = Math.abs(Math.floor(p / (ny * nz)) - nx / 2) / nx + Math.abs((p % nz) - nz / 2) / nz;
        for (let c = 0; c < channels; c++)
          data[c * voxels + p] = 6 * Math.sin((x?.data[p] as number) / 90 + 1.7 * c) - 0.3 * c * edge;
      }
      if (runs++ === options.nanAt) data[7] = Number.NaN;
      return { y: { type: 'float32', dims: [1, channels, nx, ny, nz], data } };
    },
    ...options,
  };
}

function volume(shape: Shape3, affineRas: Affine) {
  const [nx, ny, nz] = shape;
  const data = Int16Array.from({ length: nx * ny * nz }, (_, p) => {
    const [i, j, k] = [p % nx, Math.floor(p / nx) % ny, Math.floor(p / (nx * ny))];
    return Math.round(200 * Math.sin(i / 5) + 150 * Math.cos(j / 4 + k / 3) + 40 * Math.sin(p * 12.9898));
  });
  return { data, shape, affineRas };
}

const spaced: Affine = [-0.8, 0, 0, 40, 0, -0.9, 0, 30, 0, 0, 2.5, -100, 0, 0, 0, 1];
const ras = { _target_: 'Orientationd', axcodes: 'RAS', keys: 'image' };
const spacing = (pixdim: number[], rest = {}) => ({ _target_: 'Spacingd', pixdim, keys: 'image', ...rest });
const softmax = { _target_: 'Activationsd', softmax: true, keys: 'pred' };
const argmax = { _target_: 'AsDiscreted', argmax: true, keys: 'pred' };
const invert = { _target_: 'Invertd', transform: '@preprocessing', orig_keys: 'image', keys: 'pred' };
const linear = { ...invert, nearest_interp: false };

async function labels(
  pre: unknown[],
  post: unknown[],
  inferer: object,
  net: Network,
  shape: Shape3,
  denseBytes: number,
) {
  const load = ['LoadImaged', 'EnsureChannelFirstd'].map((name) => ({ _target_: name, keys: 'image' }));
  const config = {
    preprocessing: { _target_: 'Compose', transforms: [...load, ...pre] },
    inferer: { _target_: 'SlidingWindowInferer', ...inferer },
    postprocessing: { _target_: 'Compose', transforms: post },
  };
  await writeFile(join(dir, 'configs/inference.json'), JSON.stringify(config));
  const bundle = await compileBundle(dir);
  const signal = new AbortController().signal;
  const run = { pool: new InThreadPool(), signal, network: net, progress: () => {}, denseBytes };
  return bundle.run(volume(shape, spaced), run);
}

/** Bytes of shared memory that are asked for meanwhile. */
async function countingBytes<T>(work: () => Promise<T>): Promise<{ result: T; bytes: number }> {
  const Real = globalThis.SharedArrayBuffer;
  let bytes = 0;
  globalThis.SharedArrayBuffer = new Proxy(Real, {
    construct(target, [length]) {
      bytes += length as number;
      return new target(length as number);
    },
  });
  try {
    return { result: await work(), bytes };
  } finally {
    globalThis.SharedArrayBuffer = Real;
  }
}

const same = (a: ResultImage, b: ResultImage): void => {
  expect(a.shape).toEqual(b.shape);
  expect(a.affineRas).toEqual(b.affineRas);
  expect([a.fromArgmax, a.channels.length]).toEqual([true, 1]);
  expect(b.fromArgmax).toBe(true);
  expect(a.channels[0]).toEqual(b.channels[0]);
  expect(new Set(a.channels[0]).size).toBeGreaterThan(2);
};

const everything = Number.POSITIVE_INFINITY;

describe('label maps made piece by piece', () => {
  it.each<[string, unknown[], unknown[], object]>([
    ['argmax', [], [argmax], { roi_size: [8, 8, 6], overlap: 0.5 }],
    ['softmax and argmax', [], [softmax, argmax], { roi_size: [8, 8, 6], overlap: 0.7 }],
    ['an inverse that moves nothing', [ras], [softmax, linear, argmax], { roi_size: [8, 7, 6], overlap: 0.6 }],
    ['Gaussian weights', [], [softmax, argmax], { roi_size: [8, 8, 6], overlap: 0.625, mode: 'gaussian' }],
    ['padding', [], [softmax, argmax], { roi_size: [30, 8, 16], overlap: 0.5, padding_mode: 'replicate' }],
    ['whole axes', [], [argmax], { roi_size: [-1, 6, -1], overlap: 0.5 }],
    ['windows side by side', [], [argmax], { roi_size: [6, 6, 6], overlap: 0 }],
    ['a finer grid', [ras, spacing([0.7, 0.8, 1.5])], [softmax, linear, argmax], { roi_size: 9, overlap: 0.5 }],
    ['a coarser grid', [ras, spacing([1.7, 1.9, 4])], [softmax, linear, argmax], { roi_size: [5, 6, 4], overlap: 0.6 }],
    ['logits', [ras, spacing([1, 1, 2])], [linear, argmax], { roi_size: [7, 6, 5], overlap: 0.3, mode: 'gaussian' }],
    ['a padded finer grid', [ras, spacing([1, 1, 2])], [softmax, linear, argmax], { roi_size: [24, 30, 6] }],
    ['zeros beyond', [spacing([1.1, 1, 2], { padding_mode: 'zeros' })], [softmax, linear, argmax], { roi_size: 6 }],
    ['the inverse of labels', [ras, spacing([1, 1, 2])], [softmax, argmax, invert], { roi_size: 7, overlap: 0.5 }],
    ['a grid of one spacing', [ras, spacing([0.8, 0.9, 2.5])], [softmax, linear, argmax], { roi_size: 7 }],
  ])('are the same for %s', async (_, pre, post, inferer) => {
    const shape = [22, 19, 10] as const;
    const whole = await labels(pre, post, inferer, network(6), shape, everything);
    same(await labels(pre, post, inferer, network(6), shape, 0), whole);
  });

  it.each([255, 256, 257])('hold %i channels', async (channels) => {
    const run = (denseBytes: number) =>
      labels(
        [ras, spacing([1, 1, 2])],
        [softmax, linear, argmax],
        { roi_size: 6 },
        network(channels),
        [9, 8, 7],
        denseBytes,
      );
    same(await run(0), await run(everything));
  });

  it('take the memory of the windows that are under way, not of all channels of the image', async () => {
    const [channels, shape] = [40, [64, 24, 24] as const] as const;
    const inferer = { roi_size: [16, 16, 16], overlap: 0.5 };
    const run = (denseBytes: number) =>
      countingBytes(() => labels([ras], [softmax, linear, argmax], inferer, network(channels), shape, denseBytes));
    const [whole, pieces] = [await run(everything), await run(0)];
    same(pieces.result, whole.result);
    const voxels = shape[0] * shape[1] * shape[2];
    expect(whole.bytes).toBeGreaterThan(channels * voxels * 4);
    // A window's depth of the image, what else is of one channel, and the windows themselves.
    expect(pieces.bytes).toBeLessThan(channels * 16 * shape[1] * shape[2] * 4 + 16 * voxels + 4 * 16 ** 3 * 4);
  });

  it('take less than a window’s depth of the image, since its columns go when the last window over them is done', async () => {
    const shape = [40, 80, 8] as const;
    const inferer = { roi_size: [20, 20, 8], overlap: 0.7 };
    const { bytes } = await countingBytes(() => labels([], [argmax], inferer, network(30), shape, 0));
    expect(bytes).toBeLessThan(0.9 * 30 * 20 * 80 * 8 * 4 + 16 * 40 * 80 * 8);
  });

  it('fail when a value is not a number', async () => {
    const run = labels([], [softmax, argmax], { roi_size: 8 }, network(3, { nanAt: 1 }), [22, 19, 10], 0);
    await expect(run).rejects.toMatchObject({ code: 'model_failed' });
  });

  it('are not made where the bundle saves probabilities', async () => {
    const inferer = { roi_size: [8, 8, 6] };
    const result = await labels([], [softmax], inferer, network(3), [22, 19, 10], 0);
    expect([result.fromArgmax, result.channels.length]).toEqual([false, 3]);
  });
});
