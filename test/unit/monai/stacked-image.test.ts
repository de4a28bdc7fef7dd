import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import type { Volume, VoxelArray } from '../../../src/imaging/volume.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import { imageOfVolumes } from '../../../src/monai/stacked-image.ts';

const context = { pool: new InThreadPool(), signal: new AbortController().signal };
const grid = (spacing: number, shift = 0): Affine => [
  spacing,
  0,
  0,
  shift,
  0,
  spacing,
  0,
  0,
  0,
  0,
  spacing,
  0,
  0,
  0,
  0,
  1,
];
const volume = (data: VoxelArray, shape: Volume['shape'], affineRas: Affine): Volume => ({ data, shape, affineRas });
const ramp = (length: number) => Int16Array.from({ length }, (_, n) => n);

it('stacks volumes of one grid as they are', async () => {
  const warnings: string[] = [];
  const two = [volume(ramp(8), [2, 2, 2], grid(1)), volume(ramp(8).reverse(), [2, 2, 2], grid(1))];
  const { voxels } = await imageOfVolumes(two, context, (message) => void warnings.push(message));
  expect(voxels.channels).toBe(2);
  expect([...voxels.data]).toEqual([...ramp(8), ...ramp(8).reverse()]);
  expect(warnings).toEqual([]);
});

it('keeps bytes bytes', async () => {
  const two = [1, 2].map((value) => volume(new Uint8Array(8).fill(value), [2, 2, 2], grid(1)));
  expect((await imageOfVolumes(two, context)).voxels.data).toBeInstanceOf(Uint8Array);
});

it('interpolates another grid onto the first, zero beyond its edges, and says so', async () => {
  const warnings: string[] = [];
  const onFirst = volume(new Int16Array(64), [4, 4, 4], grid(1));
  // Values are the position along x, in voxels of 2 mm from 0 to 2: 1 mm voxels see halves of them.
  const coarse = volume(
    Int16Array.from({ length: 8 }, (_, n) => 10 * (n % 2)),
    [2, 2, 2],
    grid(2),
  );
  const { voxels, affineRas } = await imageOfVolumes([onFirst, coarse], context, (text) => void warnings.push(text));
  expect(voxels.shape).toEqual([4, 4, 4]);
  expect(affineRas).toEqual(grid(1));
  const row = [0, 1, 2, 3].map((x) => voxels.data[64 + x] as number);
  [0, 5, 10, 5].forEach((value, x) => void expect(row[x]).toBeCloseTo(value, 4));
  expect(warnings).toEqual([expect.stringContaining('Image 2')]);
});

/** A bundle that saves what its network was given. */
async function echoed(keys: string[], images: readonly { name: string; volume: Volume }[]) {
  const dir = await mkdtemp(join(tmpdir(), 'stacked-'));
  try {
    await mkdir(join(dir, 'configs'));
    const inputs = { image: { num_channels: 2 } };
    await writeFile(join(dir, 'configs/metadata.json'), JSON.stringify({ network_data_format: { inputs } }));
    const transforms = ['LoadImaged', 'EnsureChannelFirstd'].map((name) => ({ _target_: name, keys }));
    const config = { preprocessing: { _target_: 'Compose', transforms }, inferer: { _target_: 'SimpleInferer' } };
    const postprocessing = { _target_: 'Compose', transforms: [] };
    await writeFile(join(dir, 'configs/inference.json'), JSON.stringify({ ...config, postprocessing }));
    const bundle = await compileBundle(dir);
    const info = { name: 'x', type: 'float32' as const, dims: [1, keys.length === 1 ? 2 : 1, -1, -1, -1] };
    const network = {
      inputs: [info],
      outputs: [info],
      concurrency: 1,
      run: async (tensors: object) => ({ ...tensors }),
    };
    const image = (images[0] as { volume: Volume }).volume;
    const result = await bundle.run(image, { ...context, network, images, progress: () => {} });
    return { count: bundle.imagesPerRun, channels: result.channels.map((channel) => channel[0]) };
  } finally {
    await rm(dir, { recursive: true });
  }
}

const named = (name: string, value: number) => ({
  name,
  volume: volume(new Int16Array(8).fill(value), [2, 2, 2], grid(1)),
});

it('gives the images to a bundle with one key as channels, in their order', async () => {
  expect(await echoed(['image'], [named('b', 5), named('a', 6)])).toEqual({ count: 2, channels: [5, 6] });
});

it('gives the images to a bundle with several keys by their names', async () => {
  expect(await echoed(['image', 'other'], [named('other', 5), named('image', 6)])).toEqual({ count: 2, channels: [6] });
  await expect(echoed(['image', 'other'], [named('image', 5), named('x', 6)])).rejects.toThrow(/other was not given/);
});

it('gives no picture to a model of volumes', async () => {
  const picture = { name: '', volume: { ...volume(new Uint8Array(4), [2, 2, 1], grid(1)), isPlane: true } };
  await expect(echoed(['image'], [picture, picture])).rejects.toThrow(/takes volumes; the input is a plane/);
});
