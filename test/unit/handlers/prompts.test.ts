import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { InvocationAnswer } from '../../../src/api/invocation.ts';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { ImageSource } from '../../../src/connectors/image-source.ts';
import type { HandlerContext, HandlerRequest } from '../../../src/handlers/contract.ts';
import { ModelHandler } from '../../../src/handlers/model-handler.ts';
import type { Network } from '../../../src/imaging/network.ts';
import type { Tensor } from '../../../src/imaging/tensor.ts';
import { regularSlices, testSeries } from '../../support/connectors/test-series.ts';

const dir = mkdtempSync(join(tmpdir(), 'handler-prompts-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const labels = { spleen: 1, background: 0 };
const step = (target: string, args: Record<string, unknown> = {}) => ({ _target_: target, keys: 'image', ...args });
const pred = (target: string, args: Record<string, unknown> = {}) => ({ _target_: target, keys: 'pred', ...args });
const guidance = { ref_image: 'image', label_names: labels };
/** DeepEdit without its resizing, and with narrow bells. */
const program = {
  preprocessing: {
    _target_: 'Compose',
    transforms: [
      step('LoadImaged'),
      step('EnsureChannelFirstd'),
      step('Orientationd', { axcodes: 'RAS' }),
      { _target_: 'scripts.transforms.OrientationGuidanceMultipleLabelDeepEditd', ...guidance },
      { _target_: 'AddGuidanceFromPointsDeepEditd', ...guidance },
      step('AddGuidanceSignalDeepEditd', { sigma: 0.2 }),
    ],
  },
  inferer: { _target_: 'SimpleInferer' },
  postprocessing: {
    _target_: 'Compose',
    transforms: [
      pred('Invertd', { transform: '@preprocessing', orig_keys: 'image', nearest_interp: false }),
      pred('AsDiscreted', { argmax: true }),
      pred('SaveImaged'),
    ],
  },
};
const outputs = { pred: { channel_def: { '0': 'background', '1': 'spleen' } } };
const metadata = {
  version: '1',
  network_data_format: { inputs: { image: { type: 'image', modality: 'CT' } }, outputs },
};

/** Calls spleen what is marked as spleen. */
const network: Network = {
  inputs: [{ name: 'x', type: 'float32', dims: [1, 3, -1, -1, -1] }],
  outputs: [{ name: 'y', type: 'float32', dims: [1, 2, -1, -1, -1] }],
  concurrency: 1,
  run: async ({ x }) => {
    const { dims, data } = x as Tensor;
    const voxels = data.length / 3;
    const values = new Float32Array(2 * voxels).fill(0.5, 0, voxels);
    values.set((data as Float32Array).subarray(voxels, 2 * voxels), voxels);
    return { y: { type: 'float32', dims: [1, 2, ...dims.slice(2)], data: values } };
  },
};
let opened = 0;
const source: ImageSource = {
  accepts: (reference) => 'uri' in reference,
  open: async () => {
    opened++;
    return { kind: 'dicom', series: [testSeries(regularSlices(5, { rows: 6, columns: 8 }))] };
  },
};

const context: HandlerContext = {
  systemProperties: { model_dir: dir, gpu_id: null, model_name: 'deepedit' },
  manifest: { sha256: 'ab'.repeat(32) },
  signal: new AbortController().signal,
  deadline: Date.now() + 60_000,
  scratchDir: join(dir, 'scratch'),
  waitedMs: { queue: 0, load: 0 },
  warnings: [],
  network,
  progress: () => {},
  writing: () => {},
  setResponseHeader: () => {},
};
const handler = new ModelHandler({
  pool: new InThreadPool(),
  sources: [source],
  sinks: [],
  publishers: [],
  maxAnswerBytes: 1_000_000,
});
beforeAll(async () => {
  mkdirSync(join(dir, 'configs'));
  writeFileSync(join(dir, 'configs/metadata.json'), JSON.stringify(metadata));
  writeFileSync(join(dir, 'configs/inference.json'), JSON.stringify(program));
  await handler.initialize(context);
});

async function invoke(prompts?: unknown) {
  const body = Buffer.from(JSON.stringify({ inputs: [{ uri: 's3://bucket/series/' }], prompts }));
  const request: HandlerRequest = { body, headers: { 'content-type': 'application/json' }, requestId: '1' };
  const [result] = await handler.handle([request], context);
  if (!result || result instanceof Error) throw result;
  return JSON.parse(Buffer.from(result.body ?? []).toString()) as InvocationAnswer;
}

describe('a request with prompts', () => {
  it('is segmented where the point lies in the patient', async () => {
    // Voxel (2, 3, 1): columns are 1 mm, rows 2 mm, slices 3 mm apart.
    const answer = await invoke({ coordinates: 'lps', points: [[-8, -14, 8]], pointLabels: ['spleen'] });
    expect(answer.measurements).toMatchObject([{ segment: 'Spleen', voxels: 1 }]);
    const byIndex = await invoke({ coordinates: 'index', points: [[2, 3, 1]], pointLabels: ['spleen'] });
    const [seg, same] = [answer, byIndex].map(({ outputs }) => outputs.find(({ type }) => type === 'dicom-seg'));
    // One frame, of the slice at z = 8, whose only pixel is the fourth row's third.
    const bytes = Buffer.from(seg?.base64 ?? '', 'base64');
    expect(bytes.length).toBe(Buffer.from(same?.base64 ?? '', 'base64').length);
    expect(bytes.includes(Buffer.from('-10\\-20\\8 '))).toBe(true);
    expect([...bytes.subarray(-6)]).toEqual([0, 0, 0, 4, 0, 0]);
    expect(byIndex.inferenceId).not.toBe(answer.inferenceId);
  });

  it('is segmented without points where the model can do without', async () => {
    expect((await invoke()).measurements).toMatchObject([{ voxels: 0 }]);
  });

  it('is refused before any image is fetched where the points are none of the model’s', async () => {
    const before = opened;
    const wrong = { coordinates: 'lps', points: [[-8, -14, 8]], pointLabels: ['liver'] };
    await expect(invoke(wrong)).rejects.toMatchObject({ code: 'invalid_request' });
    expect(opened).toBe(before);
    const outside = { coordinates: 'lps', points: [[-8, -14, 80]], pointLabels: ['spleen'] };
    await expect(invoke(outside)).rejects.toThrow(/outside the image of 8 × 6 × 5/);
  });
});
