import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { parseMapJson } from '../../../src/api/map-json.ts';
import { tryBundle } from '../../../src/cli/try-bundle.ts';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { LoadedInput, SourceInstance } from '../../../src/connectors/image-source.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import { compileBundle } from '../../../src/monai/bundle/compile-bundle.ts';
import { readMetadata } from '../../../src/monai/bundle/metadata.ts';
import { runImagingJob } from '../../../src/pipeline/imaging-application.ts';
import { testAttributes } from '../../support/connectors/test-series.ts';
import { field, integer, onnxModel, valueInfo } from '../../support/onnx-bytes.ts';
import { never, startPool, type TestPool } from '../../support/sessions.ts';

// Real networks of ONNX, run by real session children, whose answers can be told by heart.
let dir = '';
let sessions: TestPool;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'findings-'));
  sessions = await startPool({ workers: 1 });
});
afterAll(async () => {
  await sessions.close();
  await rm(dir, { recursive: true });
});

const keys = { keys: 'image' };
const step = (name: string, more: object = keys) => ({ _target_: name, ...more });
const compose = (...transforms: object[]) => step('Compose', { transforms });
const preprocessing = compose(step('LoadImaged'), step('EnsureChannelFirstd'));

async function bundleOf(name: string, config: object, metadata: object, onnx: Buffer): Promise<string> {
  const bundle = join(dir, name);
  await mkdir(join(bundle, 'configs'), { recursive: true });
  await mkdir(join(bundle, 'models'));
  await writeFile(join(bundle, 'configs/inference.json'), JSON.stringify({ preprocessing, ...config }));
  await writeFile(join(bundle, 'configs/metadata.json'), JSON.stringify({ version: '1', ...metadata }));
  await writeFile(join(bundle, 'models/model.onnx'), onnx);
  return bundle;
}

async function run(bundleDir: string, input: LoadedInput) {
  const bundle = await compileBundle(bundleDir);
  const { signature } = await sessions.pool.load(bundleDir, join(bundleDir, 'models/model.onnx'), never);
  bundle.checkNetwork(signature);
  const { answer } = await runImagingJob({
    inputs: [{ uri: 's3://bucket/series/' }],
    bundle,
    mapJson: parseMapJson({}),
    model: { name: 'm', sha256: 'ab'.repeat(32) },
    network: sessions.networks.networkOf(bundleDir, signature, 1),
    pool: new InThreadPool(),
    sources: [{ accepts: () => true, open: async () => input }],
    sinks: [],
    signal: never,
    scratchDir: dir,
  });
  await sessions.pool.unload(bundleDir);
  return answer;
}

/** A convolution of one voxel that looks at every second one: 20 × the value, and six codes that are all 0. */
function headsOfOneLevel(): Buffer {
  const weight = (name: string, values: readonly number[]): Buffer => {
    const raw = Buffer.from(Float32Array.from(values).buffer);
    const dims = [values.length, 1, 1, 1, 1].map((size) => integer(1, size));
    return field(5, Buffer.concat([...dims, integer(2, 1), field(8, name), field(9, raw)]));
  };
  const strides = field(
    5,
    Buffer.concat([field(1, 'strides'), ...[2, 2, 2].map((n) => integer(8, n)), integer(20, 7)]),
  );
  const second = [field(1, 'x'), field(1, 'boxes'), field(2, 'z'), field(4, 'Conv'), strides];
  const graph = Buffer.concat([
    field(1, Buffer.concat(second)),
    weight('classes', [20]),
    weight('boxes', [0, 0, 0, 0, 0, 0]),
  ]);
  const open = ['i', 'j', 'k'];
  const model = { operator: 'Conv', inputs: ['x', 'classes'], attributes: [strides], graph };
  const whole = {
    dims: [1, 1, ...open],
    outputDims: [1, 1, 'a', 'b', 'c'],
    moreOutputs: [valueInfo('z', [1, 6, 'a', 'b', 'c'])],
  };
  return onnxModel({ ...model, ...whole });
}

const detector = {
  inferer: step('scripts.detection_inferer.RetinaNetInferer', { detector: '@detector' }),
  detector: step('RetinaNetDetector', {
    network: step('RetinaNet', { spatial_dims: 3, num_classes: 1, num_anchors: 1 }),
    anchor_generator: step('AnchorGeneratorWithAnchorShape', {
      feature_map_scales: [1],
      base_anchor_shapes: [[4, 4, 2]],
    }),
  }),
  evaluator: {
    _requires_: ["$@detector.set_target_keys('box', 'label')", '$@detector.set_box_selector_parameters(0.9)'],
  },
  postprocessing: compose(
    step('AffineBoxToWorldCoordinated', { box_keys: 'box', box_ref_image_keys: 'image', affine_lps_to_ras: true }),
    step('ConvertBoxModed', { box_keys: 'box', src_mode: 'xyzxyz', dst_mode: 'cccwhd' }),
  ),
};

it('gives the boxes of a network with several outputs', async () => {
  const metadata = {
    network_data_format: {
      inputs: { image: { num_channels: 1, modality: 'CT' } },
      outputs: { pred: { channel_def: { '0': 'nodule' } } },
    },
  };
  const bundle = await bundleOf('detector', detector, metadata, headsOfOneLevel());
  const data = new Float32Array(16 * 12 * 10);
  // The place (2, 3, 1) of the map: voxel (4, 6, 2).
  data[4 + 16 * (6 + 12 * 2)] = 1;
  const affineRas: Affine = [0.5, 0, 0, 10, 0, 2, 0, -20, 0, 0, 3, 100, 0, 0, 0, 1];
  const volume = { data, shape: [16, 12, 10] as const, affineRas };
  const { detections } = await run(bundle, { kind: 'volume', volume });
  // Its anchor lies around (5, 7, 3): half a stride further. x and y of LPS are those of RAS turned round.
  const box = [-(10 + 2.5), -(-20 + 14), 100 + 9, 2, 8, 6];
  expect(detections).toEqual({
    space: 'LPS',
    unit: 'mm',
    mode: 'cccwhd',
    boxes: [{ box, score: 1, label: 0, name: 'nodule' }],
  });
  const trial = await tryBundle(bundle, parseMapJson({}), await readMetadata(bundle));
  expect(trial).toMatchObject({ result: 'boxes', map: undefined, answerShape: [1, 1, 32, 32, 32], notes: [] });
});

/** A colour picture of DICOM: red 255, green 51, blue 0. */
function colourPicture(): LoadedInput {
  const attributes = testAttributes({ position: [0, 0, 0], rows: 2, columns: 2 }, 0)
    .set(tags.Modality, 'CS', 'ES')
    .set(tags.SamplesPerPixel, 'US', 3)
    .set(tags.PhotometricInterpretation, 'CS', 'RGB')
    .set(tags.BitsAllocated, 'US', 8)
    .set(tags.BitsStored, 'US', 8);
  const bytes = Uint8Array.from({ length: 12 }, (_, n) => [255, 51, 0][n % 3] as number);
  const instance: SourceInstance = {
    attributes,
    numberOfFrames: 1,
    readFrame: async () => ({ bytes, transferSyntaxUid: '1.2.840.10008.1.2.1' }),
  };
  return { kind: 'dicom', series: [{ seriesInstanceUid: '1.2.3.4', instances: [instance] }] };
}

it('gives the figures of a classifier of colour pictures', async () => {
  const classifier = {
    preprocessing: compose(
      step('LoadImaged'),
      step('EnsureChannelFirstd', { ...keys, channel_dim: -1 }),
      step('ScaleIntensityRanged', { ...keys, a_min: 0, a_max: 255, b_min: -1, b_max: 1 }),
    ),
    inferer: step('SimpleInferer', {}),
    postprocessing: compose(
      step('Activationsd', { keys: 'pred', sigmoid: true }),
      step('SaveClassificationd', { keys: 'pred' }),
    ),
  };
  const metadata = {
    network_data_format: {
      inputs: { image: { num_channels: 3, modality: 'regular' } },
      outputs: { pred: { num_channels: 3, channel_def: { '0': 'red', '1': 'green', '2': 'blue' } } },
    },
  };
  const dims = [1, 3, 'h', 'w'];
  const mean = onnxModel({ operator: 'GlobalAveragePool', dims, outputDims: [1, 3, 1, 1] });
  const bundle = await bundleOf('classifier', classifier, metadata, mean);
  const { classification } = await run(bundle, colourPicture());
  expect(classification?.meaning).toBe('probability');
  const sigmoid = (value: number): number => 1 / (1 + Math.exp(-value));
  const expected = { red: sigmoid(1), green: sigmoid(-0.6), blue: sigmoid(-1) };
  for (const { name, value } of classification?.classes ?? []) expect(value).toBeCloseTo(expected[name as 'red'], 6);
  expect(classification?.classes).toHaveLength(3);
  const trial = await tryBundle(bundle, parseMapJson({}), await readMetadata(bundle));
  expect(trial).toMatchObject({ result: 'classes', map: undefined });
});
