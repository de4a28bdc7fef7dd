import { describe, expect, it } from 'vitest';
import { parseMapJson } from '../../../src/api/map-json.ts';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import type { BundleMetadata, ImageResult } from '../../../src/pipeline/imaging-bundle.ts';
import { measureSegments } from '../../../src/pipeline/operators/measurements.ts';
import { isSameGrid, resampleNearest } from '../../../src/pipeline/operators/nearest-resample.ts';
import { ResultToSegmentation } from '../../../src/pipeline/operators/result-to-segmentation.ts';
import { planOutputs } from '../../../src/pipeline/planned-outputs.ts';
import { derivedUid } from '../../../src/pipeline/uids.ts';
import { testContext } from '../../support/pipeline-context.ts';

const affine: Affine = [2, 0, 0, 10, 0, 2, 0, 20, 0, 0, 3, 30, 0, 0, 0, 1];
const shape = [2, 2, 2] as const;
const image = { volume: { data: new Int16Array(8), shape, affineRas: affine }, slices: undefined };
const metadata: BundleMetadata = { channelDef: { '0': 'background', '1': 'spleen', '2': 'Left Kidney ' } };
const resultOf = (channels: ImageResult['channels'], more: Partial<ImageResult> = {}): ImageResult => ({
  kind: 'image',
  channels,
  shape,
  affineRas: affine,
  fromArgmax: true,
  ...more,
});
async function segment(result: ImageResult, mapJson: object = {}, given = metadata) {
  const context = testContext({ pool: new InThreadPool() });
  const { segmentation } = await new ResultToSegmentation(parseMapJson(mapJson).outputs, given).compute(
    { image, result },
    context,
  );
  return { segmentation, warnings: context.warnings };
}

describe('a label map', () => {
  const labels = Float32Array.of(0, 1, 1, 2, 0, 0, 0, 1);

  it('is named by channel_def after an argmax, and measured', async () => {
    const { segmentation, warnings } = await segment(resultOf([labels]));
    expect(segmentation.segments).toEqual([
      expect.objectContaining({ value: 1, label: 'Spleen', propertyType: ['78961009', 'SCT', 'Spleen'] }),
      expect.objectContaining({ value: 2, label: 'Left Kidney', propertyType: ['64033007', 'SCT', 'Kidney'] }),
    ]);
    expect(segmentation.kind === 'labelmap' && [...segmentation.labels]).toEqual([...labels]);
    expect(warnings).toEqual([]);
    expect(measureSegments(segmentation)).toEqual([
      { segment: 'Spleen', value: 1, voxels: 3, volumeMl: 0.036 },
      { segment: 'Left Kidney', value: 2, voxels: 1, volumeMl: 0.012 },
    ]);
  });

  it('of a threshold needs map.json to name it', async () => {
    await expect(segment(resultOf([labels], { fromArgmax: false }))).rejects.toMatchObject({
      code: 'unsupported_bundle',
    });
    const named = { outputs: [{ type: 'nifti', segments: [{ value: 1, label: 'Lesion' }] }] };
    const { segmentation, warnings } = await segment(resultOf([labels], { fromArgmax: false }), named);
    expect(segmentation.segments).toEqual([expect.objectContaining({ value: 1, label: 'Lesion' })]);
    expect(segmentation.kind === 'labelmap' && [...segmentation.labels]).toEqual([0, 1, 1, 0, 0, 0, 0, 1]);
    expect(warnings).toEqual([expect.stringContaining('no segment names; they were left out: 2')]);
  });

  it.each([[[0.5]], [[-1]], [[Number.NaN]], [[70_000]]])('of %j is none', async ([value]) => {
    const bad = labels.slice();
    bad[4] = value as number;
    await expect(segment(resultOf([bad]))).rejects.toMatchObject({ code: 'model_failed' });
  });

  it('that does not fill its grid is refused', async () => {
    await expect(segment(resultOf([labels.slice(1)]))).rejects.toMatchObject({ code: 'model_failed' });
  });

  it('with values over 255 keeps them', async () => {
    const many = { channelDef: { '300': 'tooth' } };
    const { segmentation } = await segment(resultOf([Float32Array.of(300, 0, 0, 0, 0, 0, 0, 300)]), {}, many);
    expect(segmentation.kind === 'labelmap' && segmentation.labels).toBeInstanceOf(Uint16Array);
    expect(measureSegments(segmentation)[0]?.voxels).toBe(2);
  });
});

describe('a result with several channels', () => {
  const tumour: BundleMetadata = { channelDef: { '0': 'tumor core', '1': 'whole tumor' } };
  const core = Float32Array.of(1, 0, 0, 0, 0, 0, 0, 0);
  const whole = Float32Array.of(1, 1, 0, 0, 0, 0, 0, 0);

  it('is a segment a channel, which may overlap', async () => {
    const { segmentation } = await segment(resultOf([core, whole], { fromArgmax: false }), {}, tumour);
    expect(segmentation.segments.map(({ value, label }) => [value, label])).toEqual([
      [1, 'Tumor core'],
      [2, 'Whole tumor'],
    ]);
    expect(measureSegments(segmentation).map(({ voxels }) => voxels)).toEqual([1, 2]);
  });

  it('with probabilities instead of 0 and 1 is refused', async () => {
    await expect(
      segment(resultOf([core, Float32Array.from(whole, (value) => value * 0.7)]), {}, tumour),
    ).rejects.toMatchObject({ code: 'model_failed' });
  });

  it('with more names than channels is refused', async () => {
    await expect(segment(resultOf([core, whole]), {}, { channelDef: { '2': 'x' } })).rejects.toMatchObject({
      code: 'unsupported_bundle',
    });
    const named = { outputs: [{ type: 'nifti', segments: [{ value: 3, label: 'x' }] }] };
    await expect(segment(resultOf([core, whole]), named)).rejects.toMatchObject({ code: 'unsupported_bundle' });
  });
});

describe('a result on another grid', () => {
  // The same space, flipped and twice as fine along x.
  const fine: Affine = [-1, 0, 0, 12.5, 0, 2, 0, 20, 0, 0, 3, 30, 0, 0, 0, 1];

  it('is brought to the image, and the warnings say so', async () => {
    const values = Float32Array.from({ length: 16 }, (_, at) => (at % 4 < 2 ? 1 : 0));
    const { segmentation, warnings } = await segment(resultOf([values], { shape: [4, 2, 2], affineRas: fine }));
    // x index 0 lies at 10 mm: index 2.5 of the fine grid; x index 1 at 12 mm: index 0.5.
    expect(segmentation.kind === 'labelmap' && [...segmentation.labels]).toEqual([0, 1, 0, 1, 0, 1, 0, 1]);
    expect(segmentation.affineRas).toBe(affine);
    expect(warnings).toEqual([expect.stringMatching(/another grid \(4×2×2\).*nearest/)]);
  });

  it('of the same size but elsewhere is not taken for the same', () => {
    const moved = [...affine] as unknown as number[];
    moved[3] = 10.1;
    expect(isSameGrid({ shape, affineRas: affine }, { shape, affineRas: moved as unknown as Affine })).toBe(false);
    moved[3] = 10.001;
    expect(isSameGrid({ shape, affineRas: affine }, { shape, affineRas: moved as unknown as Affine })).toBe(true);
  });

  it('is empty where it does not reach', () => {
    const far: Affine = [2, 0, 0, 1000, 0, 2, 0, 20, 0, 0, 3, 30, 0, 0, 0, 1];
    const out = resampleNearest(
      new Uint8Array(8).fill(1),
      { shape, affineRas: far },
      { shape, affineRas: affine },
      new Uint8Array(8),
    );
    expect([...out]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
  });
});

describe('planned outputs', () => {
  const plan = (mapJson: object, source: Parameters<typeof planOutputs>[1]) => {
    const warnings: string[] = [];
    return {
      types: planOutputs(parseMapJson(mapJson), source, (message) => void warnings.push(message)).map(
        ({ type }) => type,
      ),
      warnings,
    };
  };

  it.each<[object, Parameters<typeof planOutputs>[1], string[], number]>([
    [{}, 'dicom', ['dicom-seg', 'json'], 0],
    [{}, 'volume', ['nifti', 'json'], 0],
    [{}, 'dicom-without-uids', ['nifti', 'json'], 1],
    [{ outputs: [{ type: 'dicom-seg' }, { type: 'nifti' }] }, 'volume', ['nifti'], 1],
    [{ outputs: [{ type: 'png' }] }, 'volume', ['png'], 0],
    [{ outputs: [{ type: 'png' }, { type: 'dicom-seg' }] }, 'dicom', ['png', 'dicom-seg'], 0],
  ])('%j from %s: %j', (mapJson, source, types, warnings) => {
    expect(plan(mapJson, source).types).toEqual(types);
    expect(plan(mapJson, source).warnings).toHaveLength(warnings);
  });

  it.each([
    [{ outputs: [{ type: 'stl' }] }],
    [{ outputs: [{ type: 'dicom-seg', segmentType: 'LABELMAP' }] }],
    [{ outputs: [{ type: 'json' }, { type: 'json' }] }],
  ])('refuses %j', (mapJson) => {
    expect(() => plan(mapJson, 'dicom')).toThrowError(expect.objectContaining({ code: 'unsupported_bundle' }));
  });
});

describe('derivedUid', () => {
  it('is stable, differs by seed and role, and is a valid UID', () => {
    const uids = ['a', 'b'].flatMap((seed) => ['series', 'instance'].map((role) => derivedUid(seed, role)));
    expect(new Set(uids).size).toBe(4);
    for (const uid of uids) expect(uid).toMatch(/^2\.25\.(0|[1-9][0-9]{0,38})$/);
    expect(derivedUid('a', 'series')).toBe('2.25.70223120967945483209828647280154230890');
  });
});
