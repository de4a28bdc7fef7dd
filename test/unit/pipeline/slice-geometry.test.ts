import { describe, expect, it } from 'vitest';
import { DicomDataset } from '../../../src/formats/dicom/dataset.ts';
import { tags } from '../../../src/formats/dicom/dictionary.ts';
import { transformPoint } from '../../../src/imaging/affine.ts';
import { stackSlices } from '../../../src/pipeline/operators/slice-geometry.ts';
import { listSlices } from '../../../src/pipeline/operators/source-slices.ts';
import { regularSlices, type TestSlice, testAttributes, testSeries } from '../../support/connectors/test-series.ts';

const stack = (slices: readonly TestSlice[]) => stackSlices(listSlices(testSeries(slices)));
const refused = (reason: RegExp | string) =>
  expect.objectContaining({ code: 'unprocessable_image', message: expect.stringMatching(reason) });

describe('a regular stack', () => {
  it('maps indices to RAS millimetres', () => {
    const { affineRas } = stack(regularSlices(4));
    // PixelSpacing is row distance (y), then column distance (x); LPS (-10,-20,5) is RAS (10,20,5).
    expect(affineRas).toEqual([-1, 0, 0, 10, 0, -2, 0, 20, 0, 0, 3, 5, 0, 0, 0, 1]);
  });

  it('does not depend on the order in which slices come', () => {
    const slices = regularSlices(7);
    const shuffled = [3, 0, 6, 1, 5, 2, 4].map((index) => slices[index] as TestSlice);
    const ordered = stack(shuffled);
    expect(ordered.affineRas).toEqual(stack(slices).affineRas);
    expect(ordered.slices.map(({ positionLps }) => positionLps[2])).toEqual([5, 8, 11, 14, 17, 20, 23]);
  });

  it('sorts along the normal, not by z: a sagittal series', () => {
    const sagittal = [2, 0, 1].map((n): TestSlice => ({ position: [n * 1.5, 7, 9], orientation: [0, 1, 0, 0, 0, -1] }));
    const { affineRas, slices } = stack(sagittal);
    // Row × column = (0,1,0) × (0,0,-1) = (-1,0,0): k runs to the patient's right.
    expect(slices.map(({ positionLps }) => positionLps[0])).toEqual([3, 1.5, 0]);
    expect(transformPoint(affineRas, [1, 0, 0])).toEqual([-3, -8, 9]);
    expect(transformPoint(affineRas, [0, 1, 0])).toEqual([-3, -7, 7]);
    expect(transformPoint(affineRas, [0, 0, 1])).toEqual([-1.5, -7, 9]);
  });

  it('bears the rounding of decimal strings', () => {
    const slices = regularSlices(40).map(
      (slice, index): TestSlice => ({ ...slice, position: [-10, -20, Number((index * 0.6 + 0.123).toFixed(2))] }),
    );
    expect(stack(slices).affineRas[10]).toBeCloseTo(0.6, 3);
  });

  it('takes a single slice, as thick as it says', () => {
    const { affineRas, shearDegrees } = stack(regularSlices(1));
    expect(affineRas.slice(8, 12)).toEqual([0, 0, 3, 5]);
    expect(shearDegrees).toBe(0);
  });

  it('follows a tilted gantry exactly', () => {
    const tilted = regularSlices(5).map(
      (slice, index): TestSlice => ({ ...slice, position: [-10, -20 + index, 5 + 3 * index] }),
    );
    const { affineRas, shearDegrees } = stack(tilted);
    expect(shearDegrees).toBeCloseTo((Math.atan(1 / 3) * 180) / Math.PI, 6);
    for (const [k, { position }] of tilted.entries()) {
      const [x, y, z] = position;
      expect(transformPoint(affineRas, [0, 0, k])).toEqual([-x, -y, z]);
    }
  });
});

describe('what is no volume', () => {
  const change = (index: number, more: Partial<TestSlice>, count = 6) =>
    regularSlices(count).map((slice, at) => (at === index ? { ...slice, ...more } : slice));

  it.each<[string, readonly TestSlice[], RegExp]>([
    [
      'a missing slice',
      regularSlices(6).filter((_, index) => index !== 3),
      /1 slice is missing between slices 3 and 4/,
    ],
    ['two missing slices', regularSlices(8).filter((_, index) => index !== 3 && index !== 4), /2 slices are missing/],
    ['a missing slice of four', regularSlices(4).filter((_, index) => index !== 1), /missing|uneven/],
    ['a doubled slice', [...regularSlices(6), regularSlices(6)[2] as TestSlice], /same place/],
    ['a gap 2 % too wide', change(3, { position: [-10, -20, 14.06] }), /unevenly spaced/],
    ['a slice shifted within its plane', change(3, { position: [-9.8, -20, 14] }), /beside the line/],
    ['another orientation', change(2, { orientation: [0, 1, 0, 0, 0, -1] }), /orientations/],
    [
      'an orientation turned by half a degree',
      change(2, { orientation: [0.99996, 0.00873, 0, -0.00873, 0.99996, 0] }),
      /orientations/,
    ],
    ['another size', change(2, { rows: 5 }), /sizes/],
    ['another pixel spacing', change(2, { spacing: [2, 1.01] }), /PixelSpacing/],
    [
      'another frame of reference',
      change(2, { set: (a) => a.set(tags.FrameOfReferenceUID, 'UI', '1.9') }),
      /frames of reference/,
    ],
    [
      'time points of one slice',
      [0, 1, 2].map(() => regularSlices(1)[0]!),
      /all 3 slices lie at one place: time points/,
    ],
    ['another unit', change(2, { set: (a) => a.set(tags.RescaleType, 'LO', 'US') }), /RescaleType/],
    [
      'no position',
      change(2, { set: (a) => a.delete(tags.ImagePositionPatient) }),
      /1\.2\.3\.4\.3 has no ImagePositionPatient/,
    ],
    ['no orientation', change(2, { set: (a) => a.delete(tags.ImageOrientationPatient) }), /no ImageOrientationPatient/],
    ['a skewed orientation', regularSlices(3, { orientation: [1, 0, 0, 0.5, 0.86, 0] }), /right angles/],
    ['zero pixel spacing', regularSlices(3, { spacing: [0, 1] }), /PixelSpacing/],
    ['slope 0', regularSlices(3, { slope: 0 }), /RescaleSlope 0/],
    ['a position that is no number', change(1, { position: [Number.NaN, 0, 0] }), /ImagePositionPatient/],
  ])('%s', (_name, slices, reason) => {
    expect(() => stack(slices)).toThrowError(refused(reason));
  });

  it('a multi-frame object that nothing places', () => {
    const series = testSeries(regularSlices(1, { set: (a) => a.set(tags.NumberOfFrames, 'IS', '2') }));
    const instances = series.instances.map((instance) => ({ ...instance, numberOfFrames: 2 }));
    expect(() => listSlices({ ...series, instances })).toThrowError(refused(/no functional groups/));
  });

  it('a store that has fewer frames than the object declares', () => {
    const series = testSeries(regularSlices(1, { set: (a) => a.set(tags.NumberOfFrames, 'IS', '2') }));
    expect(() => listSlices(series)).toThrowError(refused(/declares 2 frames, 1 are there/));
  });
});

describe('an enhanced multi-frame object', () => {
  it('is read by its functional groups', () => {
    const item = (tag: number, set: (group: DicomDataset) => void) => {
      const group = new DicomDataset();
      set(group);
      return [tag, group] as const;
    };
    const groups = (...list: (readonly [number, DicomDataset])[]) => {
      const dataset = new DicomDataset();
      for (const [tag, group] of list) dataset.set(tag, 'SQ', group);
      return dataset;
    };
    const attributes = testAttributes({ position: [0, 0, 0] }, 0);
    for (const tag of [tags.ImagePositionPatient, tags.ImageOrientationPatient, tags.PixelSpacing, tags.RescaleSlope])
      attributes.delete(tag);
    attributes
      .set(tags.NumberOfFrames, 'IS', '3')
      .set(
        tags.SharedFunctionalGroupsSequence,
        'SQ',
        groups(
          item(tags.PixelMeasuresSequence, (group) =>
            group.set(tags.PixelSpacing, 'DS', '2', '1').set(tags.SliceThickness, 'DS', '4'),
          ),
          item(tags.PlaneOrientationSequence, (group) =>
            group.set(tags.ImageOrientationPatient, 'DS', '1', '0', '0', '0', '1', '0'),
          ),
        ),
      )
      .set(
        tags.PerFrameFunctionalGroupsSequence,
        'SQ',
        ...[8, 0, 4].map((z, index) =>
          groups(
            item(tags.PlanePositionSequence, (group) =>
              group.set(tags.ImagePositionPatient, 'DS', '1', '2', String(z)),
            ),
            item(tags.PixelValueTransformationSequence, (group) =>
              group.set(tags.RescaleSlope, 'DS', String(index + 1)).set(tags.RescaleIntercept, 'DS', '0'),
            ),
          ),
        ),
      );
    const instance = { attributes, numberOfFrames: 3, readFrame: () => Promise.reject(new Error('not read')) };
    const { slices, affineRas } = stackSlices(listSlices({ seriesInstanceUid: '1', instances: [instance] }));
    expect(slices.map(({ frameIndex, slope }) => [frameIndex, slope])).toEqual([
      [1, 2],
      [2, 3],
      [0, 1],
    ]);
    expect(affineRas).toEqual([-1, 0, 0, -1, 0, -2, 0, -2, 0, 0, 4, 0, 0, 0, 0, 1]);
  });
});
