import { describe, expect, it } from 'vitest';
import { type Affine, multiplyAffines, transformPoint } from '../../../src/imaging/affine.ts';
import { axisSources, orientationOf, parseAxisCodes, reorientationAffine } from '../../../src/imaging/orientation.ts';
import {
  isDense,
  reoriented,
  sameLayout,
  stridedOver,
  xFastest,
  zFastest,
} from '../../../src/imaging/strided-image.ts';

const affineOf = (rows: readonly number[]): Affine => rows as unknown as Affine;

describe('orientation', () => {
  it('names the axes of straight, turned and sheared affines', () => {
    expect(orientationOf(affineOf([-1, 0, 0, 5, 0, 0, 2, 0, 0, -3, 0, 0, 0, 0, 0, 1]))).toEqual(parseAxisCodes('LIA'));
    const c = Math.cos(0.5);
    const s = Math.sin(0.5);
    expect(orientationOf(affineOf([c, -s, 0, 0, s, c, 0, 0, 0, 0, -1, 0, 0, 0, 0, 1]))).toEqual(parseAxisCodes('RAI'));
    expect(orientationOf(affineOf([1, 0.9, 0, 0, 0, 1, 0, 0, 0, 0.2, 2, 0, 0, 0, 0, 1]))).toEqual(
      parseAxisCodes('RAS'),
    );
  });

  it('refuses an affine without three directions', () => {
    expect(() => orientationOf(affineOf([1, 1, 0, 0, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]))).toThrow(RangeError);
    expect(() => orientationOf(affineOf([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]))).toThrow(RangeError);
  });

  it.each(['RAR', 'RA', 'XYZ', 'ras', '', 'RASL'])('refuses the codes %s', (codes) => {
    expect(parseAxisCodes(codes)).toBeUndefined();
  });

  it('keeps every voxel in its place in space, and comes back', () => {
    const affine = affineOf([0, 0, -2, 7, 1.5, 0, 0, -3, 0, -1, 0, 11, 0, 0, 0, 1]);
    const shape = [4, 3, 5] as const;
    const image = stridedOver(
      Float32Array.from({ length: 60 }, (_, n) => n),
      1,
      shape,
      xFastest,
    );
    for (const codes of ['RAS', 'LPS', 'LIA', 'PSR', 'SAR']) {
      const target = parseAxisCodes(codes);
      if (!target) throw new Error(codes);
      const sources = axisSources(orientationOf(affine), target);
      const view = reoriented(image, sources);
      const moved = multiplyAffines(affine, reorientationAffine(sources, shape));
      expect(orientationOf(moved)).toEqual(target);
      const inPlace = new Map<string, number>();
      for (let k = 0; k < 5; k++)
        for (let j = 0; j < 3; j++)
          for (let i = 0; i < 4; i++) inPlace.set(transformPoint(affine, [i, j, k]).join(), i + 4 * (j + 3 * k));
      for (let k = 0; k < view.shape[2]; k++)
        for (let j = 0; j < view.shape[1]; j++)
          for (let i = 0; i < view.shape[0]; i++) {
            const value = view.data[view.offset + i * view.strides[0] + j * view.strides[1] + k * view.strides[2]];
            expect(inPlace.get(transformPoint(moved, [i, j, k]).join())).toBe(value);
          }
      expect(isDense(view)).toBe(true);
      const back = reoriented(view, axisSources(target, orientationOf(affine)));
      expect(sameLayout(back, image) && back.offset === image.offset).toBe(true);
    }
  });

  it('lays channels over an array of the right length only', () => {
    expect(() => stridedOver(new Float32Array(11), 2, [1, 2, 3], zFastest)).toThrow(RangeError);
    expect(stridedOver(new Float32Array(12), 2, [1, 2, 3], zFastest).strides).toEqual([6, 3, 1]);
  });
});
