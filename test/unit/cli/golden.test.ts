import { describe, expect, it } from 'vitest';
import { agreementOf } from '../../../src/cli/golden.ts';
import type { Volume } from '../../../src/imaging/volume.ts';

const volume = (data: number[], shape: Volume['shape'], affineRas: Volume['affineRas']): Volume => ({
  data: Uint8Array.from(data),
  shape,
  affineRas,
});
const result = volume([0, 1, 1, 2, 2, 0], [3, 2, 1], [2, 0, 0, 10, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1]);

describe('agreement of label maps', () => {
  it('is found in space: axes may be turned and flipped', () => {
    // Stored by columns, from the right.
    const turned = volume([1, 0, 1, 2, 0, 2], [2, 3, 1], [0, -2, 0, 14, 2, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1]);
    expect(agreementOf(result, turned)).toEqual({
      differing: 0,
      voxels: 6,
      labels: [
        { value: 1, voxels: 2, expectedVoxels: 2, dice: 1 },
        { value: 2, voxels: 2, expectedVoxels: 2, dice: 1 },
      ],
    });
  });

  it('counts what differs, and labels of one side only', () => {
    const other = { ...result, data: Uint8Array.of(0, 1, 0, 2, 2, 3) };
    expect(agreementOf(result, other)).toEqual({
      differing: 2,
      voxels: 6,
      labels: [
        { value: 1, voxels: 2, expectedVoxels: 1, dice: 2 / 3 },
        { value: 2, voxels: 2, expectedVoxels: 2, dice: 1 },
        { value: 3, voxels: 0, expectedVoxels: 1, dice: 0 },
      ],
    });
  });

  it('is refused between grids that do not lie on each other', () => {
    const moved = { ...result, affineRas: [2, 0, 0, 11, 0, 2, 0, 0, 0, 0, 3, 0, 0, 0, 0, 1] as const };
    for (const other of [moved, { ...result, shape: [3, 1, 2] as const }, { ...result, shape: [3, 2, 2] as const }])
      expect(() => agreementOf(result, other)).toThrow(expect.objectContaining({ code: 'invalid_request' }));
  });
});
