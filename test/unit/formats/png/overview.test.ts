import { decode } from 'fast-png';
import { describe, expect, it } from 'vitest';
import { renderOverview } from '../../../../src/formats/png/overview.ts';
import type { Affine } from '../../../../src/imaging/affine.ts';
import { invertAffine, transformPoint } from '../../../../src/imaging/affine.ts';
import type { Shape3, Volume } from '../../../../src/imaging/volume.ts';

/** A dark box with a bright octant towards one corner of the patient: right (or left), front (or back), head (or feet). */
function octant(affineRas: Affine, shape: Shape3, signs: readonly [number, number, number]): Volume<Float32Array> {
  const data = new Float32Array(shape[0] * shape[1] * shape[2]);
  const centre = transformPoint(affineRas, [(shape[0] - 1) / 2, (shape[1] - 1) / 2, (shape[2] - 1) / 2]);
  let at = 0;
  for (let k = 0; k < shape[2]; k++)
    for (let j = 0; j < shape[1]; j++)
      for (let i = 0; i < shape[0]; i++) {
        const point = transformPoint(affineRas, [i, j, k]);
        data[at++] = point.every((value, axis) => (value - (centre[axis] as number)) * (signs[axis] as number) > 0)
          ? 100
          : 0;
      }
  return { data, shape, affineRas };
}

const draw = (image: Volume, segments: Parameters<typeof renderOverview>[0]['segments'] = []) => {
  const { width, height, data } = decode(
    renderOverview({ image, segments, window: { center: 50, width: 100 }, planeSize: 90 }),
  );
  const at = (x: number, y: number) => [...(data as Uint8Array).subarray((y * width + x) * 3, (y * width + x) * 3 + 3)];
  return { width, height, at };
};

// The same patient in grids that store their axes in other orders and senses; columns are R, A, S in turn.
const grids: [string, Affine, Shape3][] = [
  ['LPS rows (DICOM axial)', [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1], [60, 90, 20]],
  ['RAS', [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1], [60, 90, 20]],
  ['sagittal', [0, 0, 1, 0, -1, 0, 0, 0, 0, -2, 0, 0, 0, 0, 0, 1], [90, 20, 60]],
  ['oblique', [-0.95, 0.3, 0, 0, -0.3, -0.95, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1], [60, 90, 20]],
];

describe('renderOverview', () => {
  it.each(grids)('shows right at the left, front up, head up, face left, for any grid: %s', (_name, affine, shape) => {
    // Bright: the patient's right, front, head. Every plane cuts one voxel of the marked corner's side.
    const image = octant(affine, shape, [1, 1, 1]);
    const label = (at: [number, number, number]) => {
      const grid = new Uint8Array(image.data.length);
      // A voxel of the bright octant picks the planes that cut it.
      grid[at[0] + shape[0] * (at[1] + shape[1] * at[2])] = 1;
      return [{ grid, value: 1, rgb: [255, 0, 0] as const }];
    };
    const centre = transformPoint(affine, [(shape[0] - 1) / 2, (shape[1] - 1) / 2, (shape[2] - 1) / 2]);
    const target = [centre[0] + 15, centre[1] + 22, centre[2] + 10] as const;
    const voxel = transformPoint(invertAffine(affine), target).map(Math.round) as [number, number, number];
    const { width, height, at } = draw(image, label(voxel));
    // Axial 60×90, coronal 60×40, sagittal 90×40 mm at 1 mm a pixel, gaps of 8.
    expect([width, height]).toEqual([60 + 8 + 60 + 8 + 90, 90]);
    const coronalTop = 25;
    expect(at(20, 30)[0]).toBe(255); // axial: left upper quarter is right front
    expect(at(45, 30)[0]).toBe(0);
    expect(at(20, 75)[0]).toBe(0);
    expect(at(68 + 20, coronalTop + 7)[1]).toBe(255); // coronal: left upper quarter is right head
    expect(at(68 + 45, coronalTop + 7)[1]).toBe(0);
    expect(at(68 + 20, coronalTop + 33)[1]).toBe(0);
    expect(at(136 + 30, coronalTop + 7)[1]).toBe(255); // sagittal: left upper quarter is front head
    expect(at(136 + 70, coronalTop + 7)[1]).toBe(0);
    expect(at(136 + 30, coronalTop + 33)[1]).toBe(0);
  });

  it('outlines a segment in its colour, on the slice where most of it lies, true to scale', () => {
    const shape: Shape3 = [60, 90, 20];
    const affine: Affine = [-1, 0, 0, 0, 0, -1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 1];
    const grid = new Uint16Array(60 * 90 * 20);
    for (let k = 5; k <= 9; k++)
      for (let j = 40; j < 60; j++) for (let i = 10; i < (k === 7 ? 40 : 20); i++) grid[i + 60 * (j + 90 * k)] = 300;
    const image = { data: new Float32Array(grid.length), shape, affineRas: affine };
    const { at } = draw(image, [{ grid, value: 300, rgb: [10, 200, 30] }]);
    expect(at(10, 50)).toEqual([10, 200, 30]); // left border of the axial slice 7, at its full width
    expect(at(39, 50)).toEqual([10, 200, 30]);
    expect(at(25, 50)).toEqual([0, 0, 0]); // inside: no fill
    expect(at(45, 50)).toEqual([0, 0, 0]);
  });

  it('refuses segments on another grid', () => {
    const image = { data: new Float32Array(8), shape: [2, 2, 2] as const, affineRas: grids[1]?.[1] as Affine };
    expect(() =>
      renderOverview({ image, segments: [{ grid: new Uint8Array(4), value: 1, rgb: [1, 2, 3] }] }),
    ).toThrow();
  });
});
