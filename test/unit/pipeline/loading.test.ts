import { afterAll, describe, expect, it } from 'vitest';
import { seriesRulesSchema } from '../../../src/api/map-json.ts';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { ImageSource, SourceSeries } from '../../../src/connectors/image-source.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { DicomDataLoader } from '../../../src/pipeline/operators/dicom-data-loader.ts';
import { compileSeriesRules } from '../../../src/pipeline/operators/series-rules.ts';
import { SeriesSelector, type SeriesSelectorOptions } from '../../../src/pipeline/operators/series-selector.ts';
import { regularSlices, type TestSlice, testSeries } from '../../support/connectors/test-series.ts';
import { testContext } from '../../support/pipeline-context.ts';

const context = testContext({ pool: new InThreadPool() });
afterAll(() => context.close());

const sourceOf = (...series: SourceSeries[]): ImageSource => ({
  accepts: (reference) => 'uri' in reference,
  open: async () => ({ kind: 'dicom', series }),
});
const load = (
  source: ImageSource,
  references: { uri: string; seriesInstanceUid?: string }[] = [{ uri: 's3://b/x/' }],
) => new DicomDataLoader(references, [source]).compute({}, context);

/** A series of its own UID and attributes. */
function series(uid: string, set: NonNullable<TestSlice['set']> = () => {}): SourceSeries {
  const slices = regularSlices(3, {
    set: (attributes) => {
      attributes.set(tags.SeriesInstanceUID, 'UI', uid);
      set(attributes);
    },
  });
  return { ...testSeries(slices), seriesInstanceUid: uid };
}

describe('DicomDataLoader', () => {
  it('gives instances in the order of their numbers', async () => {
    const { instances, ...rest } = testSeries(regularSlices(12));
    const { images } = await load(sourceOf({ ...rest, instances: instances.toReversed() }));
    const loaded = images.kind === 'dicom' ? images.series[0]!.instances : [];
    expect(loaded.map(({ attributes }) => attributes.number(tags.InstanceNumber))).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    ]);
  });

  it('joins the parts of a series that come from several inputs', async () => {
    const { instances, ...rest } = testSeries(regularSlices(4));
    const halves = [instances.slice(0, 2), instances.slice(2)].values();
    const source: ImageSource = {
      accepts: () => true,
      open: async () => ({ kind: 'dicom', series: [{ ...rest, instances: halves.next().value ?? [] }] }),
    };
    const { images } = await load(source, [{ uri: 's3://b/1/' }, { uri: 's3://b/2/' }]);
    expect(images.kind === 'dicom' && images.series.map((one) => one.instances.length)).toEqual([4]);
  });

  it.each<[string, SourceSeries[], RegExp]>([
    [
      'one slice of another patient',
      [testSeries(regularSlices(3).map((slice, index) => (index === 2 ? { ...slice, patientId: 'P2' } : slice)))],
      /more than one patient/,
    ],
    [
      'two studies',
      [testSeries(regularSlices(2)), series('1.9', (a) => a.set(tags.StudyInstanceUID, 'UI', '9.9'))],
      /more than one study/,
    ],
    [
      'another birth date',
      [testSeries(regularSlices(2)), series('1.9', (a) => a.set(tags.PatientBirthDate, 'DA', '19700101'))],
      /more than one patient/,
    ],
  ])('refuses %s', async (_name, given, reason) => {
    await expect(load(sourceOf(...given))).rejects.toMatchObject({
      code: 'unprocessable_image',
      message: expect.stringMatching(reason),
    });
    const error = await load(sourceOf(...given)).catch((thrown: Error) => thrown);
    expect(JSON.stringify(error)).not.toMatch(/P1|P2|1970/);
  });

  it('takes the series that the reference names', async () => {
    const { images } = await load(sourceOf(series('1.1'), series('1.2')), [
      { uri: 's3://b/x/', seriesInstanceUid: '1.2' },
    ]);
    expect(images.kind === 'dicom' && images.series.map((one) => one.seriesInstanceUid)).toEqual(['1.2']);
    await expect(load(sourceOf(series('1.1')), [{ uri: 's3://b/x/', seriesInstanceUid: '1.9' }])).rejects.toMatchObject(
      { code: 'input_not_found' },
    );
  });

  it('says which input nobody reads', async () => {
    const source: ImageSource = { ...sourceOf(), accepts: () => false };
    await expect(load(source)).rejects.toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining('inputs.0'),
    });
  });
});

describe('SeriesSelector', () => {
  const modality = (code: string) => (a: Parameters<NonNullable<TestSlice['set']>>[0]) =>
    a.set(tags.Modality, 'CS', code);
  const imageType =
    (...types: string[]) =>
    (a: Parameters<NonNullable<TestSlice['set']>>[0]) =>
      a.set(tags.ImageType, 'CS', ...types);
  async function select(given: SourceSeries[], options: Partial<SeriesSelectorOptions> = {}): Promise<string> {
    const selector = new SeriesSelector({ modality: 'CT', isRequested: false, ...options });
    const { selected } = await selector.compute({ images: { kind: 'dicom', series: given } }, context);
    return selected.kind === 'dicom' ? selected.series.seriesInstanceUid : selected.kind;
  }
  const rules = (conditions: object) =>
    compileSeriesRules(seriesRulesSchema.parse({ selections: [{ name: 'image', conditions }] }));

  it.each([
    ['CT', 'CT'],
    ['MRI', 'MR'],
    ['MR', 'MR'],
    ['Mammogram', 'MG'],
    ['CT scan', 'CT'],
  ])('maps the modality %s of the metadata to %s', async (name, code) => {
    const others = ['CT', 'MR', 'MG', 'SEG']
      .filter((other) => other !== code)
      .map((other) => series(`1.${other.charCodeAt(0)}`, modality(other)));
    await expect(select([...others, series('1.1', modality(code))], { modality: name })).resolves.toBe('1.1');
  });

  it.each(['unheard of', undefined])('takes any image for the modality %s', async (name) => {
    await expect(
      select([series('1.1', modality('XA')), series('1.2', modality('SR'))], { modality: name }),
    ).resolves.toBe('1.1');
  });

  it('drops localizers and derived reformats', async () => {
    const given = [
      series('1.1', imageType('ORIGINAL', 'PRIMARY', 'LOCALIZER')),
      series('1.2', imageType('DERIVED', 'SECONDARY', 'REFORMATTED')),
      series('1.3', imageType('DERIVED', 'SECONDARY', 'CSA MPR')),
      series('1.4'),
    ];
    await expect(select(given)).resolves.toBe('1.4');
  });

  it('keeps a derived image that is no reformat, and a reformat that the request names', async () => {
    await expect(select([series('1.1', imageType('DERIVED', 'PRIMARY', 'AXIAL'))])).resolves.toBe('1.1');
    await expect(
      select([series('1.1', imageType('DERIVED', 'SECONDARY', 'MPR'))], { isRequested: true }),
    ).resolves.toBe('1.1');
  });

  it('lists the series when more than one fits', async () => {
    await expect(select([series('1.1'), series('1.2')])).rejects.toMatchObject({
      code: 'unprocessable_image',
      message: expect.stringMatching(/2 series .*seriesInstanceUid.*1\.1, 1\.2/),
      details: {
        series: [
          expect.objectContaining({ seriesInstanceUid: '1.1' }),
          expect.objectContaining({ seriesInstanceUid: '1.2' }),
        ],
      },
    });
  });

  it('says that none fits', async () => {
    await expect(select([series('1.1', modality('MR'))])).rejects.toMatchObject({
      code: 'unprocessable_image',
      message: expect.stringMatching(/No series .*CT/),
    });
  });

  it('with rules takes the first that fits, by SeriesNumber and then UID', async () => {
    const numbered = (uid: string, value?: string) =>
      series(uid, (a) => (value === undefined ? a : a.set(tags.SeriesNumber, 'IS', value)));
    const given = [numbered('1.1'), numbered('1.2', '10'), numbered('1.3', '9'), numbered('1.4', '9')];
    await expect(select(given, { selections: rules({ Modality: 'CT' }) })).resolves.toBe('1.3');
  });

  it('with rules does not drop what they fit', async () => {
    const scout = series('1.1', imageType('ORIGINAL', 'PRIMARY', 'LOCALIZER'));
    await expect(select([scout], { selections: rules({ ImageType: ['LOCALIZER'] }) })).resolves.toBe('1.1');
  });

  it('says that none fulfils the rules', async () => {
    await expect(select([series('1.1')], { selections: rules({ Modality: 'PT' }) })).rejects.toMatchObject({
      code: 'unprocessable_image',
    });
  });
});
