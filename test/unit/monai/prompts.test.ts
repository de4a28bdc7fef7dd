import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleSupport } from '../../../src/cli/bundle-support.ts';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import type { Shape3, Volume } from '../../../src/imaging/volume.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import type { ResultImage } from '../../../src/monai/bundle/compiled-bundle.ts';
import type { Click } from '../../../src/monai/points.ts';
import { hasShared, shared } from '../../support/shared-data.ts';

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'prompts-'));
  await mkdir(join(dir, 'configs'));
  await writeFile(join(dir, 'configs/metadata.json'), '{"version":"1"}');
});
afterAll(() => rm(dir, { recursive: true }));

const step = (target: string, args: Record<string, unknown> = {}) => ({ _target_: target, keys: 'image', ...args });
const load = [step('LoadImaged'), step('EnsureChannelFirstd')];

async function compile(transforms: unknown[], post: unknown[] = []) {
  const program = {
    preprocessing: { _target_: 'Compose', transforms },
    inferer: { _target_: 'SimpleInferer' },
    postprocessing: { _target_: 'Compose', transforms: post },
  };
  await writeFile(join(dir, 'configs/inference.json'), JSON.stringify(program));
  return compileBundle(dir);
}

const ras: Affine = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
const ramp = (shape: Shape3, affineRas: Affine = ras): Volume => ({
  data: Int16Array.from({ length: shape[0] * shape[1] * shape[2] }, (_, n) => n % 251),
  shape,
  affineRas,
});
const options = (clicks: readonly Click[], warnings: string[] = []) => ({
  pool: new InThreadPool(),
  signal: new AbortController().signal,
  clicks,
  warn: (message: string) => void warnings.push(message),
  progress: () => {},
});

/** Where a channel is largest. */
function peak({ channels, shape: [nx, ny] }: ResultImage, channel: number): number[] {
  const values = channels[channel] as Float32Array;
  const at = values.indexOf(Math.max(...values));
  return [at % nx, Math.floor(at / nx) % ny, Math.floor(at / nx / ny)];
}

const labels = { spleen: 1, background: 0 };
const orientation = step('Orientationd', { axcodes: 'RAS' });
const turn = {
  _target_: 'scripts.transforms.OrientationGuidanceMultipleLabelDeepEditd',
  ref_image: 'image',
  label_names: labels,
};
const guide = { _target_: 'AddGuidanceFromPointsDeepEditd', ref_image: 'image', label_names: labels };
const signal = step('AddGuidanceSignalDeepEditd', { sigma: 1 });
const nuclick = { _target_: 'AddClickSignalsd', bb_size: 8 };

describe('clicks with labels', () => {
  it('stay on what was clicked when axes of different lengths are exchanged, where MONAI leads them astray', async () => {
    const bundle = await compile([...load, orientation, turn, guide, signal]);
    // Axes run up, to the back and to the left.
    const affine: Affine = [0, 0, -1, 9, 0, -1, 0, 19, 1, 0, 0, 0, 0, 0, 0, 1];
    const clicks = [{ voxel: [3, 4, 2] as const, label: 'background' }];
    const image = await bundle.preprocess({ image: ramp([30, 20, 10], affine) }, options(clicks));
    expect(image.shape).toEqual([10, 20, 30]);
    expect(image.channels.length).toBe(3);
    expect(peak(image, 2)).toEqual([10 - 1 - 2, 20 - 1 - 4, 3]);
    expect(Math.max(...(image.channels[1] as Float32Array))).toBe(0);
  });

  it('are refused where the image is turned and they are not', async () => {
    const bundle = await compile([...load, orientation, guide, signal]);
    const run = (affine: Affine) => bundle.preprocess({ image: ramp([9, 8, 7], affine) }, options([]));
    await expect(run(ras)).resolves.toBeDefined();
    await expect(run([-1, 0, 0, 8, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1])).rejects.toThrow(/turns the image, but not/);
  });

  it('are refused where the image is resampled before they are turned', async () => {
    const bundle = await compile([...load, step('Spacingd', { pixdim: [2, 2, 2] }), turn, guide, signal]);
    await expect(bundle.preprocess({ image: ramp([9, 8, 7]) }, options([]))).rejects.toThrow(
      /resamples the image before/,
    );
  });

  it('must have labels of the bundle', async () => {
    const bundle = await compile([...load, guide, signal]);
    expect(bundle.flow.clicks).toMatchObject({ labels: ['spleen', 'background'], least: 0 });
    expect(() => bundle.checkClicks([])).not.toThrow();
    expect(() => bundle.checkClicks([{ label: 'spleen' }])).not.toThrow();
    for (const wrong of [{ label: 'liver' }, {}])
      expect(() => bundle.checkClicks([wrong])).toThrow(
        expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(/: spleen, background\.$/) }),
      );
  });

  it.each<[string, unknown[], RegExp]>([
    ['signals without points', [{ ...signal, keys: 'other' }], /'keys' must be 'image'/],
    ['other labels in another transform', [turn, { ...guide, label_names: { liver: 1 } }], /different labels/],
    ['no labels', [{ ...guide, label_names: null }], /'label_names'/],
    ['patches that stay', [nuclick, step('CastToTyped', { dtype: '$torch.float32' })], /axis of patches; SqueezeDimd/],
    ['patches at the network', [nuclick], /as a list of patches/],
    ['a squeeze of an image', [step('SqueezeDimd')], /no axis of patches/],
    ['a squeeze of another axis', [nuclick, step('SqueezeDimd', { dim: -1 })], /'dim' must be 0/],
  ])('are refused with %s', async (_, transforms, message) => {
    await expect(compile([...load, ...transforms])).rejects.toThrow(message);
  });
});

describe('a click without a label', () => {
  const pictures = [0, 1, 2].map(() => ({ ...ramp([20, 12, 1]), isPlane: true as const }));
  const at = (x: number, y: number): Click => ({ voxel: [x, y, 0] });

  it('places the patch where it was cut out', async () => {
    const bundle = await compile([...load, nuclick, step('SqueezeDimd')]);
    const patch = await bundle.preprocess({ image: pictures }, options([at(15, 2)]), true);
    expect([patch.channels.length, ...patch.shape]).toEqual([5, 8, 8, 1]);
    expect([patch.affineRas[3], patch.affineRas[7]]).toEqual([11, 0]);
    expect(peak(patch, 3)).toEqual([4, 2, 0]);
    expect(patch.channels[0]?.[0]).toBe(11);
  });

  it('must be one, and without label', async () => {
    const bundle = await compile([...load, nuclick, step('SqueezeDimd')]);
    const run = (...clicks: Click[]) => bundle.preprocess({ image: pictures }, options(clicks), true);
    await expect(run()).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringMatching(/takes 1 point /),
    });
    await expect(run(at(1, 1), at(2, 2))).rejects.toThrow(/the request has 2/);
    await expect(run({ ...at(1, 1), label: 'nucleus' })).rejects.toThrow(/leave "pointLabels" out/);
  });

  it('is refused in an image that is too small, was moved, or is a volume', async () => {
    const small = { ...ramp([20, 7, 1]), isPlane: true as const };
    const bundle = await compile([...load, nuclick, step('SqueezeDimd')]);
    await expect(bundle.preprocess({ image: small }, options([at(1, 1)]), true)).rejects.toThrow(/needs 8 × 8/);
    await expect(bundle.preprocess({ image: ramp([9, 9, 9]) }, options([at(1, 1)]))).rejects.toThrow(/is a volume/);
    const crop = step('CenterSpatialCropd', { roi_size: [10, 10] });
    const moved = await compile([...load, crop, nuclick, step('SqueezeDimd')]);
    await expect(moved.preprocess({ image: pictures }, options([at(1, 1)]), true)).rejects.toThrow(/moves the image/);
  });

  it('is refused by a bundle that takes none', async () => {
    const bundle = await compile(load);
    await expect(bundle.preprocess({ image: ramp([4, 4, 4]) }, options([at(1, 1)]))).rejects.toThrow(
      /takes no prompts/,
    );
  });
});

describe('several phases as channels', () => {
  const keys = ['artery', 'vein'];
  const concat = { _target_: 'scripts.my_transforms.ConcatImages', keys_merge: keys, keys_out: 'image' };
  const both = [step('LoadImaged', { keys: [...keys, 'label'] }), step('EnsureChannelFirstd', { keys })];

  it('take no reference that the bundle only copies', async () => {
    const bundle = await compile(
      [...both, concat],
      [step('SaveImaged', { keys: 'pred' }), step('SaveImaged', { keys: 'label' })],
    );
    expect(bundle.flow).toMatchObject({ loads: keys, networkInput: 'image', saves: ['pred'], result: 'pred' });
    expect(bundle.imagesPerRun).toBe(2);
    const loaded = step('LoadImaged', { keys: ['image', 'label'], ensure_channel_first: true });
    const saved = step('SaveImaged', { keys: ['image', 'pred'] });
    const untouched = await compile([loaded, step('CastToTyped', { keys: 'label' })], [saved]);
    expect(untouched.flow).toMatchObject({ loads: ['image', 'label'], networkInput: 'image' });
  });

  it('are interpolated onto the first where they lie elsewhere, and the answer says so', async () => {
    const bundle = await compile([...both, concat], [step('SaveImaged', { keys: 'label' })]);
    const warnings: string[] = [];
    const artery = ramp([6, 5, 4]);
    const vein = ramp([6, 5, 4], ras.with(3, 1) as unknown as Affine);
    const image = await bundle.preprocess({ artery, vein }, options([], warnings));
    expect(warnings).toEqual([expect.stringMatching(/'vein' lies on another grid/)]);
    expect([...(image.channels[1] as Float32Array).subarray(0, 6)]).toEqual([0, 0, 1, 2, 3, 4]);
    expect([...(image.channels[0] as Float32Array).subarray(0, 6)]).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it('give masks that become labels, the first of several', async () => {
    const merge = step('scripts.my_transforms.MergeClassesd', { keys: 'pred' });
    const bundle = await compile(
      [...both, concat],
      [step('AsDiscreted', { keys: 'pred', threshold: 0.5 }), merge, step('SaveImaged', { keys: 'label' })],
    );
    const answer = [1, 1, 1, 1, /**/ 0, 1, 1, 0, /**/ 0, 0, 1, 1];
    const network = {
      inputs: [{ name: 'x', type: 'float32' as const, dims: [1, 2, -1, -1, -1] }],
      outputs: [{ name: 'y', type: 'float32' as const, dims: [1, 3, -1, -1, -1] }],
      concurrency: 1,
      run: async () => ({ y: { type: 'float32' as const, dims: [1, 3, 1, 2, 2], data: Float32Array.from(answer) } }),
    };
    const volumes = { artery: ramp([1, 2, 2]), vein: ramp([1, 2, 2]) };
    const result = (await bundle.runAll(volumes, { ...options([]), network })).get('pred') as ResultImage;
    // Memory: z fastest in the answer, x fastest in the result.
    expect([...(result.channels[0] as Float32Array)]).toEqual([0, 1, 1, 2]);
    expect(result.fromArgmax).toBe(true);
  });
});

describe.skipIf(!hasShared)('the bundles of the zoo', () => {
  it.each([
    ['pathology_nuclick_annotation', 3, { least: 1, most: 1 }],
    ['spleen_deepedit_annotation', 1, { least: 0, labels: ['spleen', 'background'] }],
    ['renalStructures_CECT_segmentation', 3, undefined],
  ])('%s takes %i images, and clicks', async (name, images, clicks) => {
    const bundle = await compileBundle(shared(`zoo/${name}`));
    expect(bundle.imagesPerRun).toBe(images);
    const support = await bundleSupport(shared(`zoo/${name}`), {});
    expect(support.refusal).toBeUndefined();
    expect(support.steps.every(({ supported }) => supported)).toBe(true);
    if (clicks) expect(support.clicks).toMatchObject(clicks);
    else expect(support.clicks).toBeUndefined();
  });

  it('vista3d is refused with its reason', async () => {
    const { steps, refusal } = await bundleSupport(shared('zoo/vista3d'), {});
    expect(refusal).toMatch(/VISTA-3D is several networks.*no export/);
    expect(steps.filter(({ reason }) => reason?.includes('VISTA-3D is several networks')).length).toBe(3);
  });
});
