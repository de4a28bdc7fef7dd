import { describe, expect, it } from 'vitest';
import type { Prompts } from '../../../src/api/prompts.ts';
import type { Volume } from '../../../src/imaging/volume.ts';
import { requestFingerprint } from '../../../src/pipeline/inference-id.ts';
import { clicksOf } from '../../../src/pipeline/operators/prompt-clicks.ts';

/** Columns run to the left, rows to the back, slices up: as a CT of DICOM files lies in RAS. */
const volume: Volume = {
  data: new Int16Array(10 * 20 * 30),
  shape: [10, 20, 30],
  affineRas: [-2, 0, 0, 40, 0, -2, 0, 60, 0, 0, 5, -100, 0, 0, 0, 1],
};
const voxels = (prompts: Prompts, image = volume) => clicksOf(prompts, image).map(({ voxel }) => voxel);

describe('the points of a request', () => {
  it('are the same voxel by LPS, by RAS and by index', () => {
    // The centre of voxel (3, 4, 5): RAS (34, 52, -75), LPS (-34, -52, -75).
    expect(voxels({ coordinates: 'lps', points: [[-34, -52, -75]] })).toEqual([[3, 4, 5]]);
    expect(voxels({ coordinates: 'ras', points: [[34, 52, -75]] })).toEqual([[3, 4, 5]]);
    expect(voxels({ coordinates: 'index', points: [[3, 4, 5]] })).toEqual([[3, 4, 5]]);
  });

  it('are the nearest voxels, and none outside the image', () => {
    expect(voxels({ coordinates: 'ras', points: [[34.9, 51.1, -77.4]] })).toEqual([[3, 4, 5]]);
    expect(voxels({ coordinates: 'ras', points: [[40.9, 60.9, -102.4]] })).toEqual([[0, 0, 0]]);
    const outside = { code: 'invalid_request', message: expect.stringMatching(/Point 2 .*outside.* 10 × 20 × 30/) };
    for (const points of [[[41.1, 60, -100]], [[40, 60, 47.6]], [[40, 21, -100]]] as [number, number, number][][])
      expect(() => voxels({ coordinates: 'ras', points: [[40, 60, -100], ...points] })).toThrow(
        expect.objectContaining(outside),
      );
    expect(() =>
      voxels({
        coordinates: 'index',
        points: [
          [0, 0, 0],
          [10, 0, 0],
        ],
      }),
    ).toThrow(expect.objectContaining(outside));
  });

  it('keep their labels', () => {
    const points: [number, number, number][] = [
      [0, 0, 0],
      [1, 1, 1],
    ];
    const prompts: Prompts = { coordinates: 'index', points, pointLabels: ['spleen', 'background'] };
    expect(clicksOf(prompts, volume)).toEqual([
      { voxel: [0, 0, 0], label: 'spleen' },
      { voxel: [1, 1, 1], label: 'background' },
    ]);
    expect(clicksOf(undefined, volume)).toEqual([]);
  });

  it('of a picture are columns and rows, since it has no place in the patient', () => {
    const picture: Volume = { ...volume, shape: [30, 200, 1], isPlane: true };
    expect(voxels({ coordinates: 'index', points: [[29, 199]] }, picture)).toEqual([[29, 199, 0]]);
    expect(() => voxels({ coordinates: 'ras', points: [[34, 52, 0]] }, picture)).toThrow(/without a place/);
    expect(() => voxels({ coordinates: 'index', points: [[3, 4]] })).toThrow(/three numbers/);
  });

  it('make another request of the same image', async () => {
    const identity = { modelSha256: 'a', inputs: [{ uri: 's3://bucket/series/' }] };
    const of = (prompts?: Prompts) => requestFingerprint({ ...identity, prompts });
    const prompts: Prompts = { coordinates: 'index', points: [[3, 4, 5]] };
    const all = await Promise.all([
      of(),
      of(prompts),
      of({ ...prompts, coordinates: 'ras' }),
      of({ ...prompts, points: [[3, 4, 6]] }),
      of({ ...prompts, pointLabels: ['spleen'] }),
    ]);
    expect(new Set(all).size).toBe(5);
    expect(await of({ points: [[3, 4, 5]], coordinates: 'index' })).toBe(all[1]);
    expect(await requestFingerprint(identity)).toBe(all[0]);
  });
});
