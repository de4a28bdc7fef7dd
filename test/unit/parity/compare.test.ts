import { describe, expect, it } from 'vitest';
import {
  distanceOf,
  faultsOf,
  isLabels,
  labelDistanceOf,
  labelFaultsOf,
  type OurArray,
} from '../../parity/campaign/compare.ts';
import type { JudgedArray } from '../../parity/campaign/judge.ts';

const identity = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1] as const;
const size = 10_000;
const theirs = (...channels: Float32Array[]): JudgedArray => ({ channels, shape: [100, 10, 10], affine: identity });
const ours = (array: JudgedArray, change: (values: Float32Array) => void): OurArray => {
  const channels = array.channels.map((channel) => channel.slice());
  change(channels[0] as Float32Array);
  return { channels, shape: array.shape, affine: array.affine };
};
const same = (array: JudgedArray, change: Partial<OurArray> = {}): OurArray => ({
  ...ours(array, () => {}),
  ...change,
});

describe('intensities', () => {
  const image = theirs(new Float32Array(size).map((_, i) => Math.sin(i)));
  const faults = (array: OurArray): string[] => faultsOf(distanceOf(array, image));

  it('are equal to themselves, and within the limits', () => {
    expect(faults(same(image))).toEqual([]);
    expect(faults(ours(image, (values) => values.fill((values[0] as number) + 9e-4, 0, 1)))).toEqual([]);
  });

  it('fail by one voxel beyond 1e-3, by 0.1 % beyond 1e-4, and by NaN', () => {
    const off = (by: number, count: number) =>
      ours(image, (values) => {
        for (let i = 0; i < count; i++) values[i] = (values[i] as number) + by;
      });
    expect(faults(off(1.1e-3, 1))).toEqual(['differs by up to 1.1e-3']);
    expect(faults(off(2e-4, 9))).toEqual([]);
    expect(faults(off(2e-4, 11))).toEqual(['0.11 % differ by over 1e-4']);
    expect(faults(off(Number.NaN, 1))).toEqual(['differs by up to Infinity']);
  });

  it('fail by shape, channels and affine', () => {
    expect(faults(same(image, { shape: [10, 100, 10] }))).toEqual(['10×100×10 voxels instead of 100×10×10']);
    expect(faults(same(image, { channels: [] }))).toEqual(['0 channels instead of 1']);
    const moved = identity.map((value, n) => (n === 3 ? value + 1e-5 : value));
    expect(faults(same(image, { affine: moved }))).toEqual(['affine off by 1.0e-5 mm']);
  });
});

describe('labels', () => {
  // 5,000 voxels of label 1, 100 of label 2.
  const map = theirs(new Float32Array(size).map((_, i) => (i < 5000 ? 1 : i < 5100 ? 2 : 0)));
  const faults = (change: (values: Float32Array) => void): string[] =>
    labelFaultsOf(labelDistanceOf(ours(map, change), map));

  it('are told from floats', () => {
    expect(isLabels(map)).toBe(true);
    expect(isLabels(theirs(Float32Array.of(1, 0.5)))).toBe(false);
    expect(isLabels({ channels: [Float32Array.of(1)], shape: [], affine: undefined })).toBe(false);
  });

  it('are equal to themselves, and within the limits', () => {
    expect(faults(() => {})).toEqual([]);
    expect(faults((values) => values.fill(0, 5098, 5100))).toEqual([]);
  });

  it('fail by three voxels of a small label, a big one lost in part, and a label too many', () => {
    expect(faults((values) => values.fill(0, 5097, 5100))).toEqual(['3 voxels of a small label differ']);
    expect(faults((values) => values.fill(0, 0, 12))).toEqual([
      'only 99.880 % of the labels are equal',
      'Dice 0.99880',
    ]);
    expect(faults((values) => values.fill(3, 9996, 9999))).toEqual(['3 voxels of a small label differ']);
  });

  it('of masks are compared channel by channel', () => {
    const masks = theirs(new Float32Array(size).fill(1, 0, 3000), new Float32Array(size).fill(1, 2000, 6000));
    const swapped = same(masks, { channels: [...masks.channels].reverse() });
    expect(labelFaultsOf(labelDistanceOf(same(masks), masks))).toEqual([]);
    expect(labelFaultsOf(labelDistanceOf(swapped, masks))).toHaveLength(2);
  });
});
