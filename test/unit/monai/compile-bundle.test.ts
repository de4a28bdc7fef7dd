import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import type { TensorInfo } from '../../../src/imaging/tensor.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import type { IoNames } from '../../../src/monai/bundle/network-names.ts';
import { hasShared, shared } from '../../support/shared-data.ts';

let dir = '';
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'bundle-'));
  await mkdir(join(dir, 'configs'));
  await writeFile(join(dir, 'configs/metadata.json'), '{"version": "1"}');
});
afterEach(() => rm(dir, { recursive: true }));

const step = (target: string, args: Record<string, unknown> = {}) => ({ _target_: target, keys: 'image', ...args });
const load = [step('LoadImaged'), step('EnsureChannelFirstd')];
const config = (pre: unknown[], post: unknown[] = [], inferer: unknown = { _target_: 'SimpleInferer' }) => ({
  preprocessing: { _target_: 'Compose', transforms: pre },
  inferer,
  postprocessing: { _target_: 'Compose', transforms: post },
});

async function compile(content: unknown, io: IoNames = {}) {
  await writeFile(join(dir, 'configs/inference.json'), JSON.stringify(content));
  return compileBundle(dir, io);
}

async function refusal(content: unknown): Promise<EndpointError> {
  const error = await compile(content).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(EndpointError);
  expect((error as EndpointError).code).toBe('unsupported_bundle');
  return error as EndpointError;
}

describe('compileBundle', () => {
  it('names target, file and place of a transform that it does not run', async () => {
    const error = await refusal(config([...load, step('scripts.components.LoadTiffd', { x: '$bad(' })]));
    expect(error.message).toContain("'scripts.components.LoadTiffd'");
    expect(error.message).toContain('configs/inference.json, preprocessing#transforms#2');
    const target = 'scripts.components.LoadTiffd';
    expect(error.details).toEqual({ file: 'configs/inference.json', place: 'preprocessing#transforms#2', target });
  });

  it.each([
    'os.system',
    'builtins.eval',
    'subprocess.Popen',
    'monai.bundle.run',
    'toString',
    '__proto__',
    'constructor',
    'not.monai.Spacingd',
  ])('never runs the target %s', async (target) => {
    expect((await refusal(config([step(target)]))).message).toContain('not supported');
  });

  it('accepts full paths inside monai', async () => {
    const names = ['monai.transforms.LoadImaged', 'monai.transforms.utility.dictionary.EnsureChannelFirstd'];
    await expect(compile(config(names.map((name) => step(name))))).resolves.toBeDefined();
  });

  it.each<[string, unknown, RegExp]>([
    ['an unknown argument', step('Orientationd', { axcodes: 'RAS', axes: 1 }), /argument 'axes'/],
    ['a missing argument', step('Spacingd'), /'pixdim' is missing/],
    ['a wrong type', step('ScaleIntensityRanged', { a_min: '0', a_max: 1 }), /'a_min' must be a number/],
    ['a number that is none', step('Spacingd', { pixdim: [1, null, 1] }), /'pixdim' must be/],
    ['axis codes that are none', step('Orientationd', { axcodes: 'RAR' }), /'axcodes'/],
    ['a spline order', step('Spacingd', { pixdim: 1, mode: 3 }), /'mode' must be bilinear or nearest/],
    ['lazy resampling', step('Spacingd', { pixdim: 1, lazy: true }), /'lazy'/],
    ['a text False', step('Spacingd', { pixdim: 1, diagonal: 'False' }), /'diagonal'/],
    ['an element type', step('ScaleIntensityd', { dtype: '$torch.float16' }), /'dtype' must be float32/],
    ['a list per key of wrong length', step('Spacingd', { pixdim: 1, mode: ['nearest', 'nearest'] }), /'mode'/],
    ['percentiles out of range', step('ScaleIntensityRangePercentilesd', { lower: -1, upper: 5 }), /between 0 and 100/],
    ['clipping to nothing', step('ScaleIntensityRanged', { a_min: 0, a_max: 1, clip: true }), /'clip' needs/],
    ['a lambda', step('EnsureTyped', { device: '$lambda x: x', dtype: '$lambda x: x' }), /EnsureTyped: .*lambda/],
    ['a channel axis that is none', step('EnsureChannelFirstd', { channel_dim: 4 }), /channel_dim/],
    ['keys that are none', { _target_: 'EnsureTyped', keys: [1] }, /'keys' must be/],
    ['an image that is not there', { ...step('EnsureTyped'), keys: 'other' }, /no image 'other'/],
  ])('refuses %s', async (_, transform, message) => {
    expect((await refusal(config([...load, transform]))).message).toMatch(message);
  });

  it('refuses spatial transforms before the channel axis is there', async () => {
    const error = await refusal(config([step('LoadImaged'), step('Orientationd', { axcodes: 'RAS' })]));
    expect(error.message).toContain('no channel axis');
    expect((await refusal(config([step('LoadImaged')]))).message).toContain('without a channel axis');
    await expect(compile(config([step('LoadImaged', { ensure_channel_first: true })]))).resolves.toBeDefined();
  });

  it('refuses inverting anything but the preprocessing', async () => {
    const invert = { _target_: 'Invertd', keys: 'pred', orig_keys: 'image' };
    const other = { _target_: 'Compose', transforms: load };
    expect((await refusal(config(load, [{ ...invert, transform: other }]))).message).toContain('@preprocessing');
    await expect(compile(config(load, [{ ...invert, transform: '$@preprocessing' }]))).resolves.toBeDefined();
  });

  it.each<[string, unknown, RegExp]>([
    ['an inferer that is not known', { _target_: 'SaliencyInferer' }, /inferer 'SaliencyInferer'/],
    ['an overlap of one', { _target_: 'SlidingWindowInferer', roi_size: 8, overlap: 1 }, /'overlap'/],
    ['a window in four axes', { _target_: 'SlidingWindowInferer', roi_size: [8, 8, 8, 8] }, /'roi_size'/],
    [
      'an overlap a missing axis',
      { _target_: 'SlidingWindowInferer', roi_size: [8, 8], overlap: [0, 0, 0] },
      /'overlap'/,
    ],
    ['slices of volumes', { _target_: 'SliceInferer', roi_size: [8, 8, 8] }, /'roi_size'/],
    ['slices along a fourth axis', { _target_: 'SliceInferer', roi_size: [8, 8], spatial_dim: 3 }, /'spatial_dim'/],
    ['no window', { _target_: 'SlidingWindowInferer' }, /'roi_size'/],
    ['coordinates for the network', { _target_: 'SlidingWindowInferer', roi_size: 8, with_coord: true }, /with_coord/],
    ['no component', '$1 + 1', /An inferer is expected/],
  ])('refuses %s', async (_, inferer, message) => {
    expect((await refusal(config(load, [], inferer))).message).toMatch(message);
  });

  it('refuses pipelines that contain themselves or each other over and over', async () => {
    const itself = { ...config([]), preprocessing: { _target_: 'Compose', transforms: ['@preprocessing'] } };
    expect((await refusal(itself)).message).toMatch(/too deep|back to itself/);
    const levels = Array.from({ length: 18 }, (_, n) => [
      `l${n}`,
      { _target_: 'Compose', transforms: [`@l${n + 1}`, `@l${n + 1}`] },
    ]);
    const doubling = {
      ...config(['@l0']),
      ...Object.fromEntries(levels),
      l18: { _target_: 'Compose', transforms: [] },
    };
    expect((await refusal(doubling)).message).toMatch(/too many/);
  });

  it('says which section or file is missing', async () => {
    const { postprocessing: _, ...rest } = config(load);
    expect((await refusal(rest)).message).toContain("'postprocessing'");
    await rm(join(dir, 'configs/inference.json'));
    await expect(compileBundle(dir)).rejects.toThrow(/no inference configuration/);
    await rm(join(dir, 'configs/metadata.json'));
    await expect(compileBundle(dir)).rejects.toThrow(/no metadata/);
  });

  it('binds the network by position, by the metadata’s keys, or by io', async () => {
    const info = (name: string): TensorInfo => ({ name, type: 'float32', dims: [1, 1, 8, 8, 8] });
    const formats = { inputs: { image: {} }, outputs: { pred: { channel_def: { '0': 'background', '1': 'spleen' } } } };
    await writeFile(join(dir, 'configs/metadata.json'), JSON.stringify({ network_data_format: formats }));
    const bundle = await compile(config(load));
    expect(bundle.metadata.channelDef).toEqual({ '0': 'background', '1': 'spleen' });
    expect(() => bundle.checkNetwork({ inputs: [info('x')], outputs: [info('y')] })).not.toThrow();
    expect(() => bundle.checkNetwork({ inputs: [info('x')], outputs: [info('pred'), info('z')] })).not.toThrow();
    expect(() => bundle.checkNetwork({ inputs: [info('x')], outputs: [info('y'), info('z')] })).toThrow(/map.json/);
    const named = await compile(config(load), { output: 'z' });
    expect(() => named.checkNetwork({ inputs: [info('x')], outputs: [info('y'), info('z')] })).not.toThrow();
    const bytes = { ...info('x'), type: 'uint8' as const };
    expect(() => bundle.checkNetwork({ inputs: [bytes], outputs: [info('y')] })).toThrow(/uint8/);
  });

  it.skipIf(!hasShared).each(['spleen_ct_full', 'spleen_ct_demo', 'brain_tissue_mr'])('compiles %s', async (name) => {
    const bundle = await compileBundle(shared(`models/${name}`));
    expect(bundle.flow).toEqual({ loads: ['image'], networkInput: 'image', saves: ['pred'], result: 'pred' });
    expect(bundle.metadata.channelDef['0']).toBe('background');
  });

  it
    .skipIf(!hasShared)
    .each([
      'brats_mri_segmentation',
      'breast_density_classification',
      'endoscopic_inbody_classification',
      'endoscopic_tool_segmentation',
      'multi_organ_segmentation',
      'pathology_nuclei_classification',
      'pathology_nuclick_annotation',
      'pathology_tumor_detection',
      'pediatric_abdominal_ct_segmentation',
      'prostate_mri_anatomy',
      'segmentation_template',
      'wholeBody_ct_segmentation',
      'wholeBrainSeg_Large_UNEST_segmentation',
      'pancreas_ct_dints_segmentation',
      'renalStructures_CECT_segmentation',
      'renalStructures_UNEST_segmentation',
      'spleen_deepedit_annotation',
      'spleen_ct_segmentation',
      'swin_unetr_btcv_segmentation',
    ])('compiles %s of the zoo', async (name) => {
    expect((await compileBundle(shared(`zoo/${name}`))).flow.result).toBe('pred');
  });
});
