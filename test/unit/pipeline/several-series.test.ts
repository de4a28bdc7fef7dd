import { describe, expect, it } from 'vitest';
import { parseMapJson } from '../../../src/api/map-json.ts';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { ImageSource, LoadedInput, SourceSeries } from '../../../src/connectors/image-source.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import type { Network } from '../../../src/imaging/network.ts';
import { runImagingJob } from '../../../src/pipeline/imaging-application.ts';
import type { ImagingBundle, NamedVolume } from '../../../src/pipeline/imaging-bundle.ts';
import { regularSlices, type TestSlice, testSeries } from '../../support/connectors/test-series.ts';

/** A bundle for two images that tells what it was given. */
function recordingBundle(imagesPerRun = 2) {
  const given: (readonly NamedVolume[] | undefined)[] = [];
  const bundle: ImagingBundle = {
    metadata: { version: '1', modality: 'MR', channelDef: { '0': 'background', '1': 'tumour' } },
    imagesPerRun,
    async infer(image, { images, warn }) {
      given.push(images);
      warn?.('interpolated');
      const labels = Uint8Array.from(image.data, (_, at) => at % 2);
      return { kind: 'image', channels: [labels], shape: image.shape, affineRas: image.affineRas, fromArgmax: true };
    },
  };
  return { bundle, given };
}

/** An MR series whose description is its weighting. */
function weighted(description: string, more: Omit<TestSlice, 'position'> = {}): SourceSeries {
  const set = (attributes: Parameters<NonNullable<TestSlice['set']>>[0]): void => {
    attributes.set(tags.Modality, 'CS', 'MR').set(tags.SeriesDescription, 'LO', description);
    attributes.set(tags.SeriesInstanceUID, 'UI', `1.2.${description.length}`);
    more.set?.(attributes);
  };
  return { ...testSeries(regularSlices(3, { ...more, set })), seriesInstanceUid: `1.2.${description.length}` };
}

const rule = (name: string, pattern: string) => ({ name, conditions: { SeriesDescription: pattern } });
const rules = (...selections: ReturnType<typeof rule>[]) => parseMapJson({ series: { selections } });
const both = rules(rule('t2', '^T2w$'), rule('flair', 'FLAIR'));
const [flair, t2] = [weighted('FLAIR', { pixels: 7 }), weighted('T2w', { pixels: 2000 })];

function run(inputs: LoadedInput[], mapJson: ReturnType<typeof parseMapJson>, bundle: ImagingBundle) {
  const opened = inputs.values();
  const source: ImageSource = { accepts: () => true, open: async () => opened.next().value as LoadedInput };
  return runImagingJob({
    inputs: inputs.map((_, n) => ({ uri: `s3://bucket/${n}/` })),
    bundle,
    mapJson,
    model: { name: 'm', sha256: 'ab'.repeat(32) },
    network: { inputs: [], outputs: [], concurrency: 1 } as unknown as Network,
    pool: new InThreadPool(),
    sources: [source],
    sinks: [],
    signal: new AbortController().signal,
    scratchDir: '/nowhere',
  });
}
const dicom = (...series: SourceSeries[]): LoadedInput => ({ kind: 'dicom', series });
const first = ({ volume }: NamedVolume): number | undefined => volume.data[0];

describe('several series for one model', () => {
  it('go to it in the order of the rules, with their names; results refer to the first', async () => {
    const { bundle, given } = recordingBundle();
    const { answer } = await run([dicom(flair), dicom(t2)], both, bundle);
    expect(given[0]?.map(({ name }) => name)).toEqual(['t2', 'flair']);
    expect(given[0]?.map(first)).toEqual([2000 - 1024, 7 - 1024]);
    expect(answer.warnings).toContain('interpolated');
    expect(answer.outputs.map(({ type }) => type)).toEqual(['dicom-seg', 'json']);
  });

  it('stay one image for a bundle of one, as before', async () => {
    const { bundle, given } = recordingBundle(1);
    await run([dicom(flair, t2)], rules(rule('any', 'T2w')), bundle);
    expect(given).toEqual([undefined]);
  });

  it.each<[string, SourceSeries[], ReturnType<typeof rules>, RegExp]>([
    ['a rule that nothing fulfils', [t2], both, /No series fulfils the rule 'flair'/],
    ['rules that select the same series', [t2, flair], rules(rule('a', 'T2w'), rule('', 'T2')), /'a' and 2 .* same/],
    [
      'a rule too many',
      [t2, flair, weighted('T1 weighted')],
      rules(rule('a', 'T2w'), rule('b', 'FLAIR'), rule('c', 'T1')),
      /3 series; the model takes 2/,
    ],
    [
      'series that were not registered',
      [t2, weighted('FLAIR', { spacing: [3, 3], set: (a) => void a.set(tags.FrameOfReferenceUID, 'UI', '9.9') })],
      both,
      /different frames of reference/,
    ],
  ])('are refused for %s', async (_, series, mapJson, message) => {
    const failed = run([dicom(...series)], mapJson, recordingBundle().bundle);
    await expect(failed).rejects.toThrow(message);
    await expect(failed).rejects.toMatchObject({ code: 'unprocessable_image' });
  });

  it('may have frames of reference of their own on one grid: such exports were registered before', async () => {
    const other = weighted('FLAIR', { set: (a) => void a.set(tags.FrameOfReferenceUID, 'UI', '9.9') });
    await expect(run([dicom(t2, other)], both, recordingBundle().bundle)).resolves.toBeDefined();
  });
});

describe('several volumes for one model', () => {
  const volume = (value: number) => ({
    data: new Int16Array(8).fill(value),
    shape: [2, 2, 2] as const,
    affineRas: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] as const,
  });
  const nifti = (value: number): LoadedInput => ({ kind: 'volume', volume: volume(value) });

  it('go to it in the order of the inputs', async () => {
    const { bundle, given } = recordingBundle();
    await run([nifti(5), nifti(6)], parseMapJson({}), bundle);
    expect(given[0]?.map(first)).toEqual([5, 6]);
  });

  it('may be the channels of one image', async () => {
    const { bundle, given } = recordingBundle(3);
    const channels = [1, 2, 3].map(volume);
    await run([{ kind: 'volume', volume: volume(1), channels }], parseMapJson({}), bundle);
    expect(given[0]?.map(({ channels: of }) => of?.map((one) => one.data[0]))).toEqual([[1, 2, 3]]);
  });

  it('may have several channels each', async () => {
    const { bundle, given } = recordingBundle(2);
    const picture: LoadedInput = { kind: 'volume', volume: volume(1), channels: [1, 2, 3].map(volume) };
    await run([picture, nifti(4)], parseMapJson({}), bundle);
    expect(given[0]?.map(({ channels }) => channels?.map((one) => one.data[0]))).toEqual([[1, 2, 3], [4]]);
  });

  it.each<[string, LoadedInput[], RegExp]>([
    ['more than it takes', [nifti(1), nifti(2), nifti(3)], /holds 3 images or channels; the model takes 2/],
    ['DICOM beside them', [nifti(1), dicom(t2)], /cannot be combined/],
  ])('are refused for %s', async (_, inputs, message) => {
    await expect(run(inputs, parseMapJson({}), recordingBundle().bundle)).rejects.toThrow(message);
  });
});
