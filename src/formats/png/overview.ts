import { encode } from 'fast-png';
import { EndpointError } from '../../errors.ts';
import { type Shape3, type Volume, voxelCount } from '../../imaging/volume.ts';
import { drawLetter, LETTER_HEIGHT, LETTER_WIDTH } from './edge-letters.ts';
import { type GridDirection, type PatientPlane, patientPlanes } from './patient-planes.ts';

export type Rgb = readonly [number, number, number];

/** A segment to outline: the voxels of `grid` that hold `value` (a mask of its own where segments overlap). */
export interface OutlinedSegment {
  readonly grid: Uint8Array | Uint16Array;
  readonly value: number;
  readonly rgb: Rgb;
}

export interface OverviewInput {
  readonly image: Volume;
  /** On the image's grid. */
  readonly segments: readonly OutlinedSegment[];
  /** Grey window; default: soft tissue (40, 400) where the values look like CT, else the 1st to 99th percentile. */
  readonly window?: { readonly center: number; readonly width: number };
  /** Pixels of the longest side of a plane. Default 512. */
  readonly planeSize?: number;
}

const GAP = 8;
const MARGIN = 4;

/** One plane of the picture while it is drawn. */
interface Panel {
  readonly plane: PatientPlane;
  readonly width: number;
  readonly height: number;
  readonly mmPerPixel: number;
  /** Index along `through` that is shown. */
  readonly index: number;
}

const strides = (shape: Shape3): Shape3 => [1, shape[0], shape[0] * shape[1]];

/** How many voxels of any segment lie on each index of the three axes. */
function profiles(segments: readonly OutlinedSegment[], shape: Shape3): [number[], number[], number[]] {
  const [nx, ny, nz] = shape;
  const counts = shape.map((size) => new Array<number>(size).fill(0)) as [number[], number[], number[]];
  for (const grid of new Set(segments.map((segment) => segment.grid))) {
    const values = new Set(segments.filter((segment) => segment.grid === grid).map(({ value }) => value));
    for (let k = 0, at = 0; k < nz; k++) {
      for (let j = 0; j < ny; j++) {
        for (let i = 0; i < nx; i++, at++) {
          const value = grid[at] as number;
          if (value === 0 || !values.has(value)) continue;
          counts[0][i] = (counts[0][i] as number) + 1;
          counts[1][j] = (counts[1][j] as number) + 1;
          counts[2][k] = (counts[2][k] as number) + 1;
        }
      }
    }
  }
  return counts;
}

/** Index with the most voxels, the middle one where there are none. */
function largestIndex(counts: readonly number[]): number {
  const most = Math.max(...counts);
  return most === 0 ? Math.floor(counts.length / 2) : counts.indexOf(most);
}

/** Soft tissue for CT; for anything else what 1 % and 99 % of a sample of the voxels lie between. */
function defaultWindow(data: Volume['data']): { center: number; width: number } {
  const step = Math.max(1, Math.floor(data.length / 100_000));
  const sample: number[] = [];
  for (let at = 0; at < data.length; at += step) sample.push(data[at] as number);
  sample.sort((a, b) => a - b);
  const percentile = (part: number) => sample[Math.floor((sample.length - 1) * part)] as number;
  const [low, high] = [percentile(0.01), percentile(0.99)];
  if (low < -500 && high < 4000) return { center: 40, width: 400 };
  return { center: (low + high) / 2, width: Math.max(high - low, 1) };
}

/** Voxel index (not rounded) along a direction that a pixel's centre shows. */
function indexAt(direction: GridDirection, pixel: number, mmPerPixel: number): number {
  const along = ((pixel + 0.5) * mmPerPixel) / direction.spacingMm - 0.5;
  const clamped = Math.min(Math.max(along, 0), direction.size - 1);
  return direction.step === 1 ? clamped : direction.size - 1 - clamped;
}

/** Grey values 0 to 255 of a panel, bilinear in the plane. */
function sampleGrey(panel: Panel, image: Volume, window: { center: number; width: number }): Uint8Array {
  const { plane, width, height, mmPerPixel, index } = panel;
  const stride = strides(image.shape);
  const base = index * stride[plane.through.axis];
  const out = new Uint8Array(width * height);
  const low = window.center - window.width / 2;
  for (let y = 0; y < height; y++) {
    const down = indexAt(plane.down, y, mmPerPixel);
    const d0 = Math.floor(down);
    const d1 = Math.min(d0 + 1, plane.down.size - 1);
    for (let x = 0; x < width; x++) {
      const right = indexAt(plane.right, x, mmPerPixel);
      const r0 = Math.floor(right);
      const r1 = Math.min(r0 + 1, plane.right.size - 1);
      const at = (r: number, d: number) =>
        image.data[base + r * stride[plane.right.axis] + d * stride[plane.down.axis]] as number;
      const upper = at(r0, d0) * (1 - (right - r0)) + at(r1, d0) * (right - r0);
      const lower = at(r0, d1) * (1 - (right - r0)) + at(r1, d1) * (right - r0);
      const value = upper * (1 - (down - d0)) + lower * (down - d0);
      out[y * width + x] = Math.min(255, Math.max(0, Math.round(((value - low) / window.width) * 255)));
    }
  }
  return out;
}

/** Which pixels of a panel lie in a segment (nearest voxel). */
function sampleMask(panel: Panel, shape: Shape3, segment: OutlinedSegment): Uint8Array {
  const { plane, width, height, mmPerPixel, index } = panel;
  const stride = strides(shape);
  const out = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row =
      index * stride[plane.through.axis] + Math.round(indexAt(plane.down, y, mmPerPixel)) * stride[plane.down.axis];
    for (let x = 0; x < width; x++) {
      const at = row + Math.round(indexAt(plane.right, x, mmPerPixel)) * stride[plane.right.axis];
      out[y * width + x] = segment.grid[at] === segment.value ? 1 : 0;
    }
  }
  return out;
}

/** Pixels on both sides of a border: a line two pixels wide. */
function isBorder(mask: Uint8Array, width: number, height: number, x: number, y: number): boolean {
  const own = mask[y * width + x];
  return (
    (x > 0 && mask[y * width + x - 1] !== own) ||
    (x < width - 1 && mask[y * width + x + 1] !== own) ||
    (y > 0 && mask[(y - 1) * width + x] !== own) ||
    (y < height - 1 && mask[(y + 1) * width + x] !== own)
  );
}

function layOut(image: Volume, segments: readonly OutlinedSegment[], planeSize: number): Panel[] {
  const planes = patientPlanes(image.affineRas, image.shape);
  const lengthMm = ({ size, spacingMm }: GridDirection) => size * spacingMm;
  // One scale for all three planes, the same in both directions: a millimetre is a millimetre.
  const mmPerPixel = Math.max(...planes.flatMap(({ right, down }) => [lengthMm(right), lengthMm(down)])) / planeSize;
  const counts = profiles(segments, image.shape);
  return planes.map((plane) => ({
    plane,
    mmPerPixel,
    width: Math.max(1, Math.round(lengthMm(plane.right) / mmPerPixel)),
    height: Math.max(1, Math.round(lengthMm(plane.down) / mmPerPixel)),
    index: largestIndex(counts[plane.through.axis]),
  }));
}

/**
 * Draws an overview of a segmentation as PNG: axial, coronal and sagittal plane side by side, each where most of the
 * segments' voxels lie, in radiological convention (the patient's right at the left) with the edges lettered, true to
 * scale, segments outlined in their colours.
 *
 * @throws EndpointError `internal` when a grid has another size than the image
 */
export function renderOverview({ image, segments, window, planeSize = 512 }: OverviewInput): Uint8Array {
  const count = voxelCount(image.shape);
  if (image.data.length !== count || segments.some(({ grid }) => grid.length !== count)) {
    throw new EndpointError('internal', 'The segments of an overview are not on the grid of its image.');
  }
  const panels = layOut(image, segments, planeSize);
  const width = panels.reduce((sum, panel) => sum + panel.width, GAP * (panels.length - 1));
  const height = Math.max(...panels.map((panel) => panel.height), LETTER_HEIGHT * 2 + MARGIN * 4);
  const data = new Uint8Array(width * height * 3);
  const put = (x: number, y: number, [r, g, b]: Rgb) => {
    if (x < 0 || x >= width || y < 0 || y >= height) return;
    const at = (y * width + x) * 3;
    data[at] = r;
    data[at + 1] = g;
    data[at + 2] = b;
  };
  const grey = window ?? defaultWindow(image.data);
  let left = 0;
  for (const panel of panels) {
    const top = Math.floor((height - panel.height) / 2);
    const pixels = sampleGrey(panel, image, grey);
    const each = (visit: (x: number, y: number) => void) => {
      for (let y = 0; y < panel.height; y++) for (let x = 0; x < panel.width; x++) visit(x, y);
    };
    each((x, y) => {
      const value = pixels[y * panel.width + x] as number;
      put(left + x, top + y, [value, value, value]);
    });
    for (const segment of segments) {
      const mask = sampleMask(panel, image.shape, segment);
      each((x, y) => {
        if (isBorder(mask, panel.width, panel.height, x, y)) put(left + x, top + y, segment.rgb);
      });
    }
    const middleX = left + Math.floor((panel.width - LETTER_WIDTH) / 2);
    const middleY = top + Math.floor((panel.height - LETTER_HEIGHT) / 2);
    const places: [number, number][] = [
      [left + MARGIN, middleY],
      [left + panel.width - LETTER_WIDTH - MARGIN, middleY],
      [middleX, top + MARGIN],
      [middleX, top + panel.height - LETTER_HEIGHT - MARGIN],
    ];
    panel.plane.marks.forEach((mark, edge) => {
      const [x, y] = places[edge] as [number, number];
      drawLetter(mark, (dx, dy) => put(x + dx, y + dy, [255, 255, 255]));
    });
    left += panel.width + GAP;
  }
  return encode({ width, height, data, channels: 3, depth: 8 });
}
