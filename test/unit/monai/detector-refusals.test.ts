import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { TensorInfo } from '../../../src/imaging/tensor.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import { ConfigDocument } from '../../../src/monai/bundle/config-document.ts';
import { readFirstOf } from '../../../src/monai/bundle/config-file.ts';
import { type Component, type ConfigValue, isList } from '../../../src/monai/bundle/config-value.ts';
import type { DetectorOptions } from '../../../src/monai/detection/detector-options.ts';
import { detectionsOf } from '../../../src/monai/detection/retinanet-inferer.ts';
import { shared } from '../../support/shared-data.ts';

const zoo = shared('zoo/lung_nodule_ct_detection');
// biome-ignore lint/suspicious/noExplicitAny: the configuration of the zoo, changed in places.
type Json = any;

let dir = '';
let config: Json;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detector-refusals-'));
  await mkdir(join(dir, 'configs'));
  config = JSON.parse(await readFile(join(zoo, 'configs/inference.json'), 'utf8'));
  await writeFile(join(dir, 'configs/metadata.json'), await readFile(join(zoo, 'configs/metadata.json')));
});
afterAll(() => rm(dir, { recursive: true }));

/** The bundle of the zoo with a change. */
async function changed(change: (json: Json) => void): ReturnType<typeof compileBundle> {
  const copy = structuredClone(config);
  change(copy);
  await writeFile(join(dir, 'configs/inference.json'), JSON.stringify(copy));
  return compileBundle(dir);
}

/** A change of one place. */
const put =
  (path: string, value: unknown) =>
  (json: Json): void => {
    const keys = path.split('.');
    const last = keys.pop() as string;
    const parent = keys.reduce((node, key) => node[key], json);
    parent[last] = value;
  };
const op = (call: string) => put('detector_ops.3', `$@detector.${call}`);
const both =
  (...changes: ((json: Json) => void)[]) =>
  (json: Json): void => {
    for (const change of changes) change(json);
  };

const head = (name: string, channels: number): TensorInfo => ({
  name,
  type: 'float32',
  dims: [1, channels, 'x', 'y', 'z'],
});
const input: TensorInfo = { name: 'image', type: 'float32', dims: [1, 1, 'x', 'y', 'z'] };
const classes = ['a', 'b', 'c'].map((name) => head(name, 3));
const boxes = ['d', 'e', 'f'].map((name) => head(name, 18));

describe('lung_nodule_ct_detection', () => {
  it('compiles as it is in the zoo', async () => {
    const bundle = await changed(() => {});
    expect(bundle.detects).toBe(true);
    expect(() => bundle.checkNetwork({ inputs: [input], outputs: [...classes, ...boxes] })).not.toThrow();
  });

  it.each([
    [false, ['LoadImaged', 'EnsureChannelFirstd', 'Orientationd', 'ScaleIntensityRanged', 'EnsureTyped']],
    [true, ['LoadImaged', 'EnsureChannelFirstd', 'Orientationd', 'Spacingd', 'ScaleIntensityRanged', 'EnsureTyped']],
  ])('leaves out what _disabled_ says, whether_raw_luna16 %s', async (isRaw, expected) => {
    await changed(put('whether_raw_luna16', isRaw));
    const found = await readFirstOf(dir, ['configs/inference.json']);
    const document = new ConfigDocument(found!.root, found!.file);
    const steps = document.resolve('preprocessing#transforms') as readonly ConfigValue[];
    expect(isList(steps) && steps.map((step) => (step as Component).target)).toEqual(expected);
    expect((steps[0] as Component).argument('affine_lps_to_ras')).toBe(isRaw ? true : undefined);
  });

  const post = 'postprocessing.transforms';
  it.each<[string, (json: Json) => void, RegExp]>([
    ['an unknown method', op('set_atss_matcher(4)'), /set_atss_matcher is not supported/],
    ['a method of something else', put('detector_ops.0', '$@network_def.eval()'), /must be calls of the detector/],
    ['an unknown argument', op("set_target_keys('a', 'b', 'c')"), /'argument 3'/],
    ['a setting out of range', op('set_box_selector_parameters(detections_per_img=0)'), /1 to 1000\b/],
    ['code as a setting', op('set_target_keys(open("x"), "b")'), /'open' is not supported/],
    ['a metric of its own', put('detector.box_overlap_metric', 'x'), /box_overlap_metric/],
    ['another detector', put('detector._target_', 'MyDetector'), /this detector is not supported/],
    ['other anchors', put('anchor_generator._target_', 'MyAnchors'), /anchor generator is not supported/],
    ['two axes', put('spatial_dims', 2), /detector of 2 axes/],
    ['anchors of another number', put('network_def.num_anchors', 4), /4 anchors at a place/],
    [
      'windows forced and not set',
      both(put('force_sliding_window', true), put('detector_ops', [])),
      /needs set_sliding/,
    ],
    ['boxes of another key', put(`${post}.0.box_keys`, 'boxes'), /no boxes 'boxes'/],
    ['labels of another key', put(`${post}.0.label_keys`, ['label', 'other']), /no labels 'other'/],
    ['another mode than the boxes have', put(`${post}.2.src_mode`, 'xyzwhd'), /as xyzwhd; they are xyzxyz/],
    ['boxes left in voxels', put(`${post}.1`, { _target_: 'Identityd', keys: 'image' }), /AffineBoxToWorldCoordinated/],
    [
      'moving them twice',
      (json) => json.postprocessing.transforms.splice(1, 0, json.postprocessing.transforms[1]),
      /in millimetres here/,
    ],
    ['deleting them', put(`${post}.3.keys`, ['box']), /must stay/],
    ['an image that is not there', put(`${post}.0.box_ref_image_keys`, 'x'), /no image 'x'/],
    [
      'an image of the prediction',
      put(`${post}.3`, { _target_: 'Activationsd', keys: 'pred', sigmoid: true }),
      /no image 'pred'/,
    ],
    ['boxes without a detector', put('inferer', { _target_: 'SimpleInferer' }), /there are no boxes 'box'/],
  ])('is refused with %s', async (_what, change, message) => {
    await expect(changed(change)).rejects.toMatchObject({
      code: 'unsupported_bundle',
      message: expect.stringMatching(message) as unknown,
    });
  });

  it.each<[string, readonly TensorInfo[], RegExp]>([
    ['one output', classes.slice(0, 1), /1 outputs; a detector of 3 levels has 6/],
    ['boxes before classes', [...boxes, ...classes], /classification of a level, has 18 channels; 3 were expected/],
    ['levels one after another', [0, 1, 2].flatMap((n) => [classes[n]!, boxes[n]!]), /channels/],
    ['two axes', [...classes, ...boxes.map((one) => ({ ...one, dims: [1, 18, 'x', 'y'] }))], /4 axes/],
    ['names of some', [...classes.slice(1), head('classification_0', 3), ...boxes], /all must be called/],
  ])('refuses a network of %s', async (_what, outputs, message) => {
    const bundle = await changed(() => {});
    expect(() => bundle.checkNetwork({ inputs: [input], outputs })).toThrow(message);
  });

  it('refuses a network whose size is not the window’s', async () => {
    const bundle = await changed(() => {});
    const fixed = { ...input, dims: [1, 1, 64, 64, 64] };
    expect(() => bundle.checkNetwork({ inputs: [fixed], outputs: [...classes, ...boxes] })).toThrow(/windows of 512/);
  });

  it('fails when its levels come from the coarsest to the finest', () => {
    const level = (channels: number, side: number) => {
      const shape = [side, side, side] as const;
      return { data: new Float32Array(channels * side ** 3), channels, shape };
    };
    const options: DetectorOptions = {
      classes: 1,
      sizeDivisible: [1, 1, 1],
      anchors: { levels: [[[1, 1, 1]], [[2, 2, 2]]], shiftedBy: [0, 1, 2] },
      keys: { box: 'box', label: 'label', score: 'label_scores' },
      weights: [1, 1, 1, 1, 1, 1],
      selection: { applySigmoid: true, scoreThreshold: 0.9, perLevel: 10, nmsThreshold: 0.5, perImage: 10 },
      windows: undefined,
    };
    const maps = (sides: readonly number[]) => ({
      classification: sides.map((side) => level(1, side)),
      boxRegression: sides.map((side) => level(6, side)),
    });
    expect(detectionsOf(maps([4, 2]), [8, 8, 8], [8, 8, 8], options).scores).toHaveLength(0);
    expect(() => detectionsOf(maps([2, 4]), [8, 8, 8], [8, 8, 8], options)).toThrow(/finest to the coarsest/);
  });
});
