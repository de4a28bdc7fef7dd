import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import type { Network } from '../../../src/imaging/network.ts';
import type { Tensor } from '../../../src/imaging/tensor.ts';
import type { Shape3 } from '../../../src/imaging/volume.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';

// MONAI's own answers, made by test/parity/make_detector_fixtures.py.
interface Case {
  readonly anchor: object;
  readonly anchorsPerPlace: number;
  readonly strides: readonly (readonly [number, number, number])[];
  readonly classes: number;
  readonly divisible: readonly number[];
  readonly bias: number;
  readonly select: object;
  readonly weights?: readonly number[];
  readonly windows?: object;
  readonly force?: true;
  readonly shape: Shape3;
  readonly voxels: string;
  readonly affine: Affine;
  readonly lps: boolean;
  readonly mode: string;
  readonly boxes: readonly number[];
  readonly scores: readonly number[];
  readonly labels: readonly number[];
}

const file = new URL('../../parity/fixtures/detectors.json.gz', import.meta.url);
const cases = JSON.parse(gunzipSync(await readFile(file)).toString('utf8')) as Case[];
const f = Math.fround;

/** The network of make_detector_fixtures.py. */
function fixedNetwork({ strides, anchorsPerPlace, classes, bias }: Case): Network {
  const open = [-1, -1, -1];
  const heads = strides.flatMap((_, level) => [
    { name: `box_regression_${level}`, channels: anchorsPerPlace * 6, level, seed: 2, scale: 0.75, bias: -0.375 },
    { name: `classification_${level}`, channels: anchorsPerPlace * classes, level, seed: 1, scale: 4, bias },
  ]);
  return {
    inputs: [{ name: 'image', type: 'float32', dims: [-1, 1, ...open] }],
    // In an order of their own: the names tell.
    outputs: heads.map(({ name, channels }) => ({ name, type: 'float32' as const, dims: [-1, channels, ...open] })),
    concurrency: 2,
    run: async ({ image }) => {
      const made = heads.map((head) => [head.name, map(image as Tensor, strides[head.level] as Shape3, head)] as const);
      return Object.fromEntries(made);
    },
  };
}

interface Head {
  readonly channels: number;
  readonly seed: number;
  readonly scale: number;
  readonly bias: number;
}

function map({ dims, data }: Tensor, stride: Shape3, { channels, seed, scale, bias }: Head): Tensor {
  const [, , nx = 0, ny = 0, nz = 0] = dims;
  const shape = [nx, ny, nz].map((size, axis) => Math.ceil(size / (stride[axis] as number))) as [
    number,
    number,
    number,
  ];
  const values = new Float32Array(channels * shape[0] * shape[1] * shape[2]);
  let at = 0;
  for (let c = 0; c < channels; c++)
    for (let x = 0; x < shape[0]; x++)
      for (let y = 0; y < shape[1]; y++)
        for (let z = 0; z < shape[2]; z++) {
          const voxel = data[(x * stride[0] * ny + y * stride[1]) * nz + z * stride[2]] as number;
          const sum = x * (7919 + 101 * c) + y * (104729 + 211 * c) + z * (1299709 + seed) + c * seed * 15485;
          const place = (sum % 1000003) / 2 ** 20;
          values[at++] = f(f(f(voxel * (0.5 + (c % 3) * 0.25)) + f(place * scale)) + bias);
        }
  return { type: 'float32', dims: [1, channels, ...shape], data: values };
}

let dir = '';
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detector-fixtures-'));
  await mkdir(join(dir, 'configs'));
  await writeFile(join(dir, 'configs/metadata.json'), '{"version":"1"}');
});
afterAll(() => rm(dir, { recursive: true }));

const literal = (values: object): string =>
  Object.entries(values)
    .map(([key, value]) => `${key}=${JSON.stringify(value).replaceAll('true', 'True').replaceAll('false', 'False')}`)
    .join(', ');

function configuration({ anchor, classes, divisible, select, weights, windows, force, lps, mode }: Case): object {
  const step = (name: string, more: object) => ({ _target_: name, ...more });
  const keys = { keys: 'image' };
  return {
    preprocessing: step('Compose', { transforms: [step('LoadImaged', keys), step('EnsureChannelFirstd', keys)] }),
    network_def: { _target_: 'RetinaNet', spatial_dims: 3, num_classes: classes, size_divisible: divisible },
    network: '$@network_def.to(@device)',
    detector: {
      _target_: 'monai.apps.detection.networks.retinanet_detector.RetinaNetDetector',
      network: '@network',
      anchor_generator: anchor,
    },
    detector_ops: [
      "$@detector.set_target_keys('box', label_key='label')",
      `$@detector.set_box_selector_parameters(${literal(select)})`,
      ...(weights ? [`$@detector.set_box_coder_weights(${JSON.stringify(weights)})`] : []),
      ...(windows ? [`$@detector.set_sliding_window_inferer(${literal(windows)})`] : []),
    ],
    inferer: step('scripts.detection_inferer.RetinaNetInferer', {
      detector: '@detector',
      force_sliding_window: force === true,
    }),
    evaluator: step('scripts.evaluator.DetectionEvaluator', { _requires_: '@detector_ops' }),
    postprocessing: step('Compose', {
      transforms: [
        step('ClipBoxToImaged', {
          box_keys: 'box',
          label_keys: ['label', 'label_scores'],
          box_ref_image_keys: 'image',
        }),
        step('AffineBoxToWorldCoordinated', { box_keys: 'box', box_ref_image_keys: 'image', affine_lps_to_ras: lps }),
        step('ConvertBoxModed', { box_keys: 'box', src_mode: 'xyzxyz', dst_mode: mode }),
        step('DeleteItemsd', keys),
      ],
    }),
  };
}

describe('RetinaNetInferer and the box transforms', () => {
  it.each(cases.map((one, n) => [n, one] as const))('find what MONAI finds, case %i', async (_n, one) => {
    await writeFile(join(dir, 'configs/inference.json'), JSON.stringify(configuration(one)));
    const bundle = await compileBundle(dir);
    const network = fixedNetwork(one);
    bundle.checkNetwork(network);
    const data = new Float32Array(new Uint8Array(Buffer.from(one.voxels, 'base64')).buffer);
    const volume = { data, shape: one.shape, affineRas: one.affine };
    const found = await bundle.infer(volume, {
      network,
      pool: new InThreadPool(),
      signal: new AbortController().signal,
      progress: () => {},
    });
    if (found.kind !== 'detections') throw new Error('boxes were expected');
    expect([found.mode, found.space]).toEqual([one.mode, one.lps ? 'LPS' : 'RAS']);
    expect([...found.labels]).toEqual(one.labels);
    expect(worst(found.scores, one.scores)).toBeLessThanOrEqual(1e-6);
    expect(found.boxes).toHaveLength(one.boxes.length);
    // mm, where coordinates go to some hundred.
    expect(worst(found.boxes, one.boxes)).toBeLessThanOrEqual(1e-4);
  });
});

const worst = (got: Float32Array, expected: readonly number[]): number =>
  expected.reduce((most, value, n) => Math.max(most, Math.abs(value - (got[n] as number))), 0);
