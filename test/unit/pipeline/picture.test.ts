import { describe, expect, it } from 'vitest';
import type { SourceInstance, SourceSeries } from '../../../src/connectors/image-source.ts';
import type { DicomDataset } from '../../../src/formats/dicom/dataset.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { SeriesToVolume } from '../../../src/pipeline/operators/series-to-volume.ts';
import { testAttributes, testSeriesUid } from '../../support/connectors/test-series.ts';
import { testContext } from '../../support/pipeline-context.ts';

const explicit = '1.2.840.10008.1.2.1';

interface Given {
  readonly bytes: readonly number[];
  readonly frames?: number;
  readonly index?: number;
  readonly set?: (attributes: DicomDataset) => void;
}

/** An instance of 2 × 2 pixels that has no place in a patient. */
function instance({ bytes, frames = 1, index = 0, set }: Given): SourceInstance {
  const attributes = testAttributes({ position: [0, 0, 0], rows: 2, columns: 2, intercept: 0 }, index);
  for (const tag of [tags.ImagePositionPatient, tags.ImageOrientationPatient, tags.FrameOfReferenceUID])
    attributes.delete(tag);
  attributes.set(tags.Modality, 'CS', 'MG').set(tags.BitsAllocated, 'US', 8).set(tags.BitsStored, 'US', 8);
  set?.(attributes);
  const encoded = { bytes: Uint8Array.from(bytes), transferSyntaxUid: explicit };
  return { attributes, numberOfFrames: frames, readFrame: async () => encoded };
}

const colour =
  (space: string, planar = 0) =>
  (attributes: DicomDataset): void => {
    attributes.set(tags.SamplesPerPixel, 'US', 3).set(tags.PhotometricInterpretation, 'CS', space);
    attributes.set(tags.PlanarConfiguration, 'US', planar).set(tags.Modality, 'CS', 'ES');
  };
const seriesOf = (...instances: SourceInstance[]): SourceSeries => ({ seriesInstanceUid: testSeriesUid, instances });

async function read(series: SourceSeries) {
  const warnings: string[] = [];
  const context = { ...testContext(), warn: (message: string) => void warnings.push(message) };
  const { image } = await new SeriesToVolume().compute({ selected: { kind: 'dicom', series } }, context);
  const channels = image.images?.[0]?.channels ?? [image.volume];
  return { image, warnings, planes: channels.map(({ data }) => [...data]) };
}

const grey = [10, 20, 30, 250];
const interleaved = [255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30];

describe('a picture', () => {
  it('of grey without a place is a plane on the grid of its pixels', async () => {
    const { image, planes } = await read(seriesOf(instance({ bytes: grey })));
    expect(planes).toEqual([grey]);
    expect(image).toMatchObject({ slices: undefined, volume: { shape: [2, 2, 1], isPlane: true } });
    expect(image.picture?.attributes.string(tags.SOPInstanceUID)).toBe('1.2.3.4.1');
  });

  it('of MONOCHROME1 is turned round: low is bright there', async () => {
    const set = (a: DicomDataset) => void a.set(tags.PhotometricInterpretation, 'CS', 'MONOCHROME1');
    expect((await read(seriesOf(instance({ bytes: grey, set })))).planes).toEqual([[245, 235, 225, 5]]);
  });

  it('of 12 bits in 16 is read without what lies above them, and rescaled', async () => {
    const set = (a: DicomDataset) =>
      void a.set(tags.BitsAllocated, 'US', 16).set(tags.BitsStored, 'US', 12).set(tags.RescaleSlope, 'DS', '0.5');
    const bytes = [0, 0x10, 2, 0x10, 0xff, 0x0f, 1, 0];
    expect((await read(seriesOf(instance({ bytes, set })))).planes).toEqual([[0, 1, 2047.5, 0.5]]);
  });

  it('of colour has a plane a colour, interleaved or by plane', async () => {
    const planes = [
      [255, 0, 0, 10],
      [0, 255, 0, 20],
      [0, 0, 255, 30],
    ];
    expect((await read(seriesOf(instance({ bytes: interleaved, set: colour('RGB') })))).planes).toEqual(planes);
    expect((await read(seriesOf(instance({ bytes: planes.flat(), set: colour('RGB', 1) })))).planes).toEqual(planes);
  });

  it('of YBR_FULL becomes RGB', async () => {
    // Red, green, blue and grey by PS3.3 C.7.6.3.1.2.
    const bytes = [76, 85, 255, 150, 44, 21, 29, 255, 107, 90, 128, 128];
    const { planes } = await read(seriesOf(instance({ bytes, set: colour('YBR_FULL') })));
    for (const [n, expected] of [
      [255, 0, 0, 90],
      [0, 255, 0, 90],
      [0, 0, 255, 90],
    ].entries())
      expect(planes[n]?.every((value, at) => Math.abs(value - (expected[at] as number)) <= 2)).toBe(true);
  });

  it('keeps colour a picture where it has a place', async () => {
    const set = (a: DicomDataset) => {
      colour('RGB')(a);
      a.set(tags.ImagePositionPatient, 'DS', '0', '0', '0');
    };
    expect((await read(seriesOf(instance({ bytes: interleaved, set })))).planes).toHaveLength(3);
  });

  it('for processing comes with a warning', async () => {
    const set = (a: DicomDataset) => void a.set(tags.PresentationIntentType, 'CS', 'FOR PROCESSING');
    expect((await read(seriesOf(instance({ bytes: grey, set })))).warnings).toEqual([
      expect.stringMatching(/FOR PROCESSING/),
    ]);
  });

  it.each<[string, SourceSeries, RegExp]>([
    ['several of them', seriesOf(instance({ bytes: grey }), instance({ bytes: grey, index: 1 })), /holds 2 pictures/],
    [
      'several frames',
      seriesOf(instance({ bytes: grey, frames: 3, set: (a) => void a.set(tags.NumberOfFrames, 'IS', '3') })),
      /has 3 frames/,
    ],
    ['frames that are not there', seriesOf(instance({ bytes: grey, frames: 2 })), /declares 1 frames, 2/],
    ['no pixels', seriesOf(instance({ bytes: grey, frames: 0 })), /no pixel data/],
    ['another colour space', seriesOf(instance({ bytes: interleaved, set: colour('HSV') })), /is HSV/],
    [
      'a palette',
      seriesOf(
        instance({ bytes: grey, set: (a) => void a.set(tags.PhotometricInterpretation, 'CS', 'PALETTE COLOR') }),
      ),
      /PALETTE COLOR/,
    ],
    ['too few bytes', seriesOf(instance({ bytes: [1, 2] })), /1\.2\.3\.4\.1 cannot be used/],
    [
      'a CT slice that lost its place',
      seriesOf(instance({ bytes: grey, set: (a) => void a.set(tags.Modality, 'CS', 'CT') })),
      /no place in space/,
    ],
    [
      'a slice and a picture',
      seriesOf(instance({ bytes: grey }), instance({ bytes: interleaved, index: 1, set: colour('RGB') })),
      /holds 2 pictures/,
    ],
  ])('is refused: %s', async (_what, series, message) => {
    await expect(read(series)).rejects.toMatchObject({
      code: 'unprocessable_image',
      message: expect.stringMatching(message) as unknown,
    });
  });
});
