import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { type PhantomGrid, renderPhantom } from '../../../src/cli/demo/phantom.ts';
import { parsePhantom } from '../../../src/cli/demo/phantom-description.ts';

const sample = new URL('../../../samples/phantom.json', import.meta.url);
const coarse: PhantomGrid = {
  columns: 128,
  rows: 128,
  slices: 40,
  pixelSpacingMm: 3,
  sliceSpacingMm: 6,
  centerZMm: 10,
};

const solid = (over: object) => ({
  name: 's',
  shape: 'ellipsoid',
  center: [0, 0, 0],
  radii: [40, 40, 40],
  hu: 0,
  ...over,
});
const phantomOf = (...solids: object[]) =>
  parsePhantom(
    JSON.stringify({
      title: '',
      frame: '',
      note: '',
      background_hu: -1000,
      noise_sigma_hu: 0,
      blur_sigma_mm: 0,
      solids,
    }),
  );

describe('the phantom', () => {
  it('has solids of the volume that their formula gives', () => {
    const spleen = solid({ radii: [24, 46, 50], rotate: [28, -12], label: 1 });
    const fine = { ...coarse, pixelSpacingMm: 1, sliceSpacingMm: 2, slices: 60, centerZMm: 0 };
    const { truth } = renderPhantom(phantomOf(spleen), fine);
    const volumeMm3 = truth.data.reduce((sum, label) => sum + label, 0) * 2;
    expect(volumeMm3 / ((4 / 3) * Math.PI * 24 * 46 * 50)).toBeCloseTo(1, 2);
  });

  it('puts a solid at its place in patient space, in RAS', () => {
    const { image } = renderPhantom(phantomOf(solid({ center: [60, 30, 40], radii: [10, 10, 10], hu: 500 })), coarse);
    const hits: [number, number, number][] = [];
    const [nx, ny] = image.shape;
    image.data.forEach((hu, n) => {
      if (hu === 500) hits.push([n % nx, Math.floor(n / nx) % ny, Math.floor(n / (nx * ny))]);
    });
    const mean = [0, 1, 2].map((axis) => hits.reduce((sum, hit) => sum + (hit[axis] as number), 0) / hits.length);
    const m = image.affineRas;
    const at = [0, 4, 8].map((row) =>
      [0, 1, 2].reduce((sum, n) => sum + (m[row + n] as number) * (mean[n] as number), m[row + 3] as number),
    );
    // LPS (60, 30, 40): left, behind, up; in RAS the first two change sign.
    expect(at[0]).toBeCloseTo(-60, 0);
    expect(at[1]).toBeCloseTo(-30, 0);
    expect(Math.abs((at[2] as number) - 40)).toBeLessThan(3);
  });

  it('paints a later solid over an earlier one, in the image and in the truth', () => {
    const { image, truth } = renderPhantom(
      phantomOf(solid({ label: 1 }), solid({ radii: [20, 20, 20], hu: 700 })),
      coarse,
    );
    image.data.forEach((hu, n) => {
      if (hu === 700) expect(truth.data[n]).toBe(0);
    });
    expect(image.data).toContain(700);
    expect(truth.data).toContain(1);
  });

  it('is the same bytes each time, with the noise that it names', () => {
    const phantom = parsePhantom(readFileSync(sample, 'utf8'));
    const first = renderPhantom(phantom, coarse);
    const again = renderPhantom(phantom, coarse).image.data;
    expect(Buffer.from(again.buffer).equals(Buffer.from(first.image.data.buffer))).toBe(true);
    const quiet = renderPhantom({ ...phantom, noise_sigma_hu: 0 }, coarse).image.data;
    const inside = [...quiet.keys()].filter((n) => (quiet[n] as number) > -500);
    const noise = inside.map((n) => (first.image.data[n] as number) - (quiet[n] as number));
    const mean = noise.reduce((sum, value) => sum + value, 0) / noise.length;
    const sigma = Math.sqrt(noise.reduce((sum, value) => sum + (value - mean) ** 2, 0) / noise.length);
    expect(Math.abs(mean)).toBeLessThan(0.2);
    expect(sigma).toBeGreaterThan(11.8);
    expect(sigma).toBeLessThan(12.2);
  });

  it('refuses a description with a misspelt key, naming the place', () => {
    expect(() => phantomOf(solid({ raddi: [1, 2, 3] }))).toThrow(/solids\[0\]/);
    expect(() => parsePhantom('{')).toThrow(/no JSON/);
  });
});
