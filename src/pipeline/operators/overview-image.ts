import { invertAffine, transformPoint } from '../../imaging/affine.ts';
import type { Volume } from '../../imaging/volume.ts';
import type { Segmentation } from '../segmentation.ts';

/** An RGB picture, rows from the top. */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array;
}

type Point = [number, number, number];

/** Which patient axis runs right, and which down; the third stands still. Signs: as a radiologist looks at it. */
const planes = [
  { right: [-1, 0, 0], down: [0, -1, 0] }, // axial: patient's left on the right, front on top
  { right: [-1, 0, 0], down: [0, 0, -1] }, // coronal
  { right: [0, -1, 0], down: [0, 0, -1] }, // sagittal: front on the left
] as const;

/** Colours of outlines, by segment: bright ones that differ without relying on red against green alone. */
const palette = [
  [255, 64, 64],
  [64, 200, 255],
  [255, 215, 0],
  [120, 255, 120],
  [255, 120, 255],
  [255, 150, 50],
] as const;

const panelPixels = 384;
const gapPixels = 8;

/**
 * Draws three planes through the largest segment (through the middle where nothing was found), windowed, with the
 * outlines of the segments. Lengths are true in all directions, whatever the grid.
 *
 * @param window - lowest value shown (black) and highest (white)
 */
export function drawOverview(volume: Volume, segmentation: Segmentation, window: readonly [number, number]): RgbImage {
  const box = boundsMm(volume);
  const centre = centreOf(segmentation) ?? middle(box);
  const extent = Math.max(...box.high.map((high, axis) => high - (box.low[axis] as number)), 1e-3);
  const mmPerPixel = extent / (panelPixels - 1);
  const width = planes.length * panelPixels + (planes.length - 1) * gapPixels;
  const image = { width, height: panelPixels, data: new Uint8Array(width * panelPixels * 3) };
  for (const [index, plane] of planes.entries()) {
    const origin = middle(box);
    const fixed = [0, 1, 2].find((axis) => plane.right[axis] === 0 && plane.down[axis] === 0) as number;
    origin[fixed] = centre[fixed] as number;
    drawPanel(image, index * (panelPixels + gapPixels), plane, origin, mmPerPixel, volume, segmentation, window);
  }
  return image;
}

function drawPanel(
  image: RgbImage,
  left: number,
  { right, down }: (typeof planes)[number],
  origin: Point,
  mmPerPixel: number,
  volume: Volume,
  segmentation: Segmentation,
  [low, high]: readonly [number, number],
): void {
  const size = panelPixels;
  const toIndex = invertAffine(volume.affineRas);
  const [nx, ny, nz] = volume.shape;
  const labels = new Int32Array(size * size);
  const labelAt = labelLookup(segmentation);
  for (let v = 0; v < size; v++) {
    for (let u = 0; u < size; u++) {
      const [du, dv] = [(u - (size - 1) / 2) * mmPerPixel, (v - (size - 1) / 2) * mmPerPixel];
      const place = origin.map(
        (value, axis) => value + du * (right[axis] as number) + dv * (down[axis] as number),
      ) as Point;
      const [i, j, k] = transformPoint(toIndex, place).map(Math.round) as Point;
      if (i < 0 || j < 0 || k < 0 || i >= nx || j >= ny || k >= nz) continue;
      const at = i + nx * (j + ny * k);
      const grey = Math.round((255 * ((volume.data[at] as number) - low)) / (high - low));
      image.data.fill(
        Math.min(255, Math.max(0, grey)),
        3 * (v * image.width + left + u),
        3 * (v * image.width + left + u) + 3,
      );
      labels[v * size + u] = labelAt(at);
    }
  }
  for (let v = 1; v < size - 1; v++) {
    for (let u = 1; u < size - 1; u++) {
      const at = v * size + u;
      const own = labels[at] as number;
      if (own === 0) continue;
      const isEdge = [at - 1, at + 1, at - size, at + size].some((neighbour) => labels[neighbour] !== own);
      if (isEdge)
        image.data.set(palette[(own - 1) % palette.length] as readonly number[], 3 * (v * image.width + left + u));
    }
  }
}

/** Number of the segment (1-based, in their order) at a voxel; 0 for none. */
function labelLookup(segmentation: Segmentation): (at: number) => number {
  if (segmentation.kind === 'masks') {
    const { masks } = segmentation;
    return (at) => masks.findIndex((mask) => mask[at] === 1) + 1;
  }
  const numbers = new Map(segmentation.segments.map(({ value }, index) => [value, index + 1]));
  const { labels } = segmentation;
  return (at) => numbers.get(labels[at] as number) ?? 0;
}

/** Box around all voxel centres, in RAS millimetres. */
function boundsMm({ shape, affineRas }: Volume): { low: Point; high: Point } {
  const low: Point = [Infinity, Infinity, Infinity];
  const high: Point = [-Infinity, -Infinity, -Infinity];
  for (let corner = 0; corner < 8; corner++) {
    const index = shape.map((size, axis) => ((corner >> axis) & 1 ? size - 1 : 0)) as Point;
    for (const [axis, value] of transformPoint(affineRas, index).entries()) {
      low[axis] = Math.min(low[axis] as number, value);
      high[axis] = Math.max(high[axis] as number, value);
    }
  }
  return { low, high };
}

const middle = ({ low, high }: { low: Point; high: Point }): Point =>
  low.map((value, axis) => (value + (high[axis] as number)) / 2) as Point;

/** Centre of the voxels of the segment with the most of them, in RAS millimetres; undefined when all are empty. */
function centreOf(segmentation: Segmentation): Point | undefined {
  const labelAt = labelLookup(segmentation);
  const [nx, ny, nz] = segmentation.shape;
  const sums = segmentation.segments.map(() => ({ count: 0, i: 0, j: 0, k: 0 }));
  for (let k = 0, at = 0; k < nz; k++) {
    for (let j = 0; j < ny; j++) {
      for (let i = 0; i < nx; i++, at++) {
        const sum = sums[labelAt(at) - 1];
        if (!sum) continue;
        sum.count++;
        sum.i += i;
        sum.j += j;
        sum.k += k;
      }
    }
  }
  const largest = sums.reduce((best, sum) => (sum.count > best.count ? sum : best), { count: 0, i: 0, j: 0, k: 0 });
  if (largest.count === 0) return undefined;
  const { count, i, j, k } = largest;
  return transformPoint(segmentation.affineRas, [i / count, j / count, k / count]);
}
