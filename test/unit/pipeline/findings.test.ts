import { describe, expect, it } from 'vitest';
import { parseMapJson } from '../../../src/api/map-json.ts';
import { answerSchema } from '../../../src/api/wire-schemas.ts';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { ImageSource, LoadedInput } from '../../../src/connectors/image-source.ts';
import { type Affine, identityAffine } from '../../../src/imaging/affine.ts';
import type { Network } from '../../../src/imaging/network.ts';
import { runImagingJob } from '../../../src/pipeline/imaging-application.ts';
import type { BundleResult, DetectionResult, ImageResult } from '../../../src/pipeline/imaging-bundle.ts';
import { regularSlices, testSeries, testSeriesUid } from '../../support/connectors/test-series.ts';

const dicom: LoadedInput = { kind: 'dicom', series: [testSeries(regularSlices(4))] };

function run(result: BundleResult, channelDef: Record<string, string>, input = dicom, mapJson: object = {}) {
  const source: ImageSource = { accepts: () => true, open: async () => input };
  return runImagingJob({
    inputs: [{ uri: 's3://bucket/series/' }],
    bundle: { metadata: { version: '2', modality: 'CT', channelDef }, infer: async () => result },
    mapJson: parseMapJson(mapJson),
    model: { name: 'm', sha256: 'ab'.repeat(32) },
    network: { inputs: [], outputs: [], concurrency: 1 } as unknown as Network,
    pool: new InThreadPool(),
    sources: [source],
    sinks: [],
    signal: new AbortController().signal,
    scratchDir: '/nowhere',
  });
}

const figures = (values: readonly number[], more: Partial<ImageResult> = {}): ImageResult => ({
  kind: 'image',
  channels: values.map((value) => Float32Array.of(value)),
  shape: [1, 1, 1],
  affineRas: identityAffine,
  fromArgmax: false,
  ...more,
});
const densities = { '0': 'A', '1': 'B', '2': 'C', '3': 'D' };

describe('figures of classes', () => {
  it('are in the answer and in one JSON file, by name', async () => {
    const result = figures([0.125, 0.5, 0.25, 0.1], { meaning: 'probability' });
    const { answer, files } = await run(result, densities);
    const classes = [
      { class: 0, name: 'A', value: 0.125 },
      { class: 1, name: 'B', value: 0.5 },
      { class: 2, name: 'C', value: 0.25 },
      { class: 3, name: 'D', value: 0.1 },
    ];
    expect(answer.classification).toEqual({ meaning: 'probability', classes });
    expect(answer.measurements).toEqual([]);
    expect(answerSchema.safeParse(answer).error).toBeUndefined();
    expect(files.map(({ type }) => type)).toEqual(['json']);
    expect(JSON.parse(Buffer.from(files[0]!.bytes).toString())).toEqual({
      model: answer.model,
      inferenceId: answer.inferenceId,
      seriesInstanceUid: testSeriesUid,
      frameOfReferenceUid: '1.2.3.9',
      classification: { meaning: 'probability', classes },
    });
  });

  it('of an argmax are 1 for its class and 0 for the others', async () => {
    const { answer } = await run(figures([2], { fromArgmax: true }), densities);
    expect(answer.classification?.meaning).toBe('flag');
    expect(answer.classification?.classes.map(({ value }) => value)).toEqual([0, 0, 1, 0]);
  });

  it('are called values where the bundle makes no probabilities of them, and have no name where nobody gave one', async () => {
    const { answer } = await run(figures([-3.5, 7]), {});
    const classes = [
      { class: 0, name: null, value: -3.5 },
      { class: 1, name: null, value: 7 },
    ];
    expect(answer.classification).toEqual({ meaning: 'value', classes });
  });

  it.each<[string, ImageResult, Record<string, string>, object, string, RegExp]>([
    ['more names than figures', figures([1, 2]), densities, {}, 'unsupported_bundle', /answers 2 class figures/],
    ['a class without a name', figures([7], { fromArgmax: true }), densities, {}, 'model_failed', /class 7/],
    ['no number', figures([Number.NaN, 1]), {}, {}, 'model_failed', /not numbers/],
    [
      'a SEG asked for',
      figures([1, 2]),
      {},
      { outputs: [{ type: 'dicom-seg' }] },
      'unsupported_bundle',
      /dicom-seg; a model that classifies/,
    ],
  ])('are refused: %s', async (_what, result, names, map, code, message) => {
    await expect(run(result, names, dicom, map)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as unknown,
    });
  });
});

const found: DetectionResult = {
  kind: 'detections',
  boxes: Float32Array.of(-10.5, 20.25, -300, 6, 7, 8, 0.1, 0, 0, 1, 1, 1),
  mode: 'cccwhd',
  space: 'LPS',
  scores: Float32Array.of(0.9, 0.1),
  labels: Int32Array.of(0, 1),
};

describe('boxes', () => {
  it('are in the answer and in one JSON file, in millimetres of a named space', async () => {
    const { answer, files } = await run(found, { '0': 'nodule' });
    const boxes = [
      { box: [-10.5, 20.25, -300, 6, 7, 8], score: 0.9, label: 0, name: 'nodule' },
      { box: [0.1, 0, 0, 1, 1, 1], score: 0.1, label: 1, name: null },
    ];
    expect(answer.detections).toEqual({ space: 'LPS', unit: 'mm', mode: 'cccwhd', boxes });
    expect(answerSchema.safeParse(answer).error).toBeUndefined();
    expect(JSON.parse(Buffer.from(files[0]!.bytes).toString()).detections).toEqual(answer.detections);
    expect(answer.warnings).toEqual([]);
  });

  it('none found is an answer too', async () => {
    const none = { ...found, boxes: new Float32Array(), scores: new Float32Array(), labels: new Int32Array() };
    expect((await run(none, {})).answer.detections?.boxes).toEqual([]);
  });

  it('of an oblique image come with a warning', async () => {
    const [c, s] = [Math.cos(0.1), Math.sin(0.1)];
    const affineRas: Affine = [c, -s, 0, 0, s, c, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    const volume = { data: new Float32Array(8), shape: [2, 2, 2] as const, affineRas };
    const { answer } = await run(found, {}, { kind: 'volume', volume });
    expect(answer.warnings).toEqual([expect.stringMatching(/obliquely/)]);
  });

  it('that are not numbers fail the request', async () => {
    const boxes = found.boxes.with(3, Number.POSITIVE_INFINITY);
    await expect(run({ ...found, boxes }, {})).rejects.toMatchObject({ code: 'model_failed' });
  });
});
