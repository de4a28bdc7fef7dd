import { EndpointError } from '../../../errors.ts';
import type { Shape3 } from '../../../imaging/volume.ts';

/** What is segmented, on the grid of the source: one label a voxel, or one mask a segment where they may overlap. */
export type SegmentationGrid =
  | { readonly kind: 'labels'; readonly data: Uint8Array | Uint16Array }
  | { readonly kind: 'masks'; readonly masks: readonly Uint8Array[] };

/** One frame of a BINARY segmentation: the voxels of one segment on one slice. */
export interface SegmentFrame {
  /** 1-based, in the order of the segments. */
  readonly segmentNumber: number;
  /** 0-based index of the source slice. */
  readonly slice: number;
}

export interface BinaryFrames {
  /** By segment, then by slice. */
  readonly frames: readonly SegmentFrame[];
  /** All frames as one stream of bits, least significant first, no padding between frames (PS3.5 §8.1.1). */
  readonly bits: Uint8Array;
  /** False for segments without a voxel, in the order of the segments. */
  readonly present: readonly boolean[];
}

/** Calls back for every voxel of a slice that isn't 0. Most are: words of zeros are stepped over. */
function eachNonZero(
  data: Uint8Array | Uint16Array,
  start: number,
  length: number,
  visit: (pixel: number, value: number) => void,
): void {
  const perWord = 4 / data.BYTES_PER_ELEMENT;
  const byteStart = data.byteOffset + start * data.BYTES_PER_ELEMENT;
  const words = byteStart % 4 === 0 ? new Uint32Array(data.buffer, byteStart, Math.floor(length / perWord)) : undefined;
  let pixel = 0;
  if (words) {
    for (let word = 0; word < words.length; word++) {
      if (words[word] === 0) continue;
      pixel = word * perWord;
      for (let n = 0; n < perWord; n++) {
        const value = data[start + pixel + n] as number;
        if (value !== 0) visit(pixel + n, value);
      }
    }
    pixel = words.length * perWord;
  }
  for (; pixel < length; pixel++) {
    const value = data[start + pixel] as number;
    if (value !== 0) visit(pixel, value);
  }
}

/** Sets bits of one frame in the stream. Frames may start inside a byte. */
class FrameBits {
  readonly #bits: Uint8Array;
  readonly #byte: number;
  readonly #shift: number;

  constructor(bits: Uint8Array, frame: number, pixels: number) {
    this.#bits = bits;
    const start = frame * pixels;
    this.#byte = Math.floor(start / 8);
    this.#shift = start % 8;
  }

  set(pixel: number): void {
    const bit = this.#shift + pixel;
    const at = this.#byte + (bit >>> 3);
    this.#bits[at] = (this.#bits[at] as number) | (1 << (bit & 7));
  }
}

/** Which segments (0-based) have voxels on each slice. */
function segmentsOnSlices(
  grid: SegmentationGrid,
  values: readonly number[],
  pixels: number,
  slices: number,
): number[][] {
  if (grid.kind === 'masks') {
    return Array.from({ length: slices }, (_, slice) =>
      grid.masks.flatMap((mask, segment) => (hasVoxel(mask, slice * pixels, pixels) ? [segment] : [])),
    );
  }
  const segmentOf = new Map(values.map((value, segment) => [value, segment]));
  const seenOn = new Int32Array(65_536).fill(-1);
  return Array.from({ length: slices }, (_, slice) => {
    const segments: number[] = [];
    eachNonZero(grid.data, slice * pixels, pixels, (_pixel, value) => {
      if (seenOn[value] === slice) return;
      seenOn[value] = slice;
      const segment = segmentOf.get(value);
      if (segment === undefined) {
        throw new EndpointError(
          'unsupported_bundle',
          `The result holds label ${value}, but no segment is defined for it: name it in map.json.`,
        );
      }
      segments.push(segment);
    });
    return segments;
  });
}

function hasVoxel(mask: Uint8Array, start: number, length: number): boolean {
  for (let at = start; at < start + length; at++) if (mask[at] !== 0) return true;
  return false;
}

function assertFits(grid: SegmentationGrid, shape: Shape3, segmentCount: number): void {
  const voxels = shape[0] * shape[1] * shape[2];
  const grids = grid.kind === 'labels' ? [grid.data] : grid.masks;
  if (grids.some((data) => data.length !== voxels) || (grid.kind === 'masks' && grids.length !== segmentCount)) {
    throw new EndpointError('internal', `The segmentation does not fill the source grid of ${shape.join('×')}.`);
  }
}

/**
 * Packs a segmentation into BINARY frames. Frames without a voxel are left out; when nothing at all is segmented, one
 * empty frame of the first segment on the middle slice stays, since an object without frames is not allowed.
 *
 * @param values - label value of each segment, in order
 * @throws EndpointError `unsupported_bundle` for a label that no segment stands for; `internal` for a grid of
 *   another size
 */
export function packBinaryFrames(grid: SegmentationGrid, shape: Shape3, values: readonly number[]): BinaryFrames {
  assertFits(grid, shape, values.length);
  const pixels = shape[0] * shape[1];
  const slices = shape[2];
  const bySlice = segmentsOnSlices(grid, values, pixels, slices);
  const frames: SegmentFrame[] = [];
  const frameAt = bySlice.map(() => new Map<number, number>());
  for (let segment = 0; segment < values.length; segment++) {
    for (let slice = 0; slice < slices; slice++) {
      if (!bySlice[slice]?.includes(segment)) continue;
      frameAt[slice]?.set(segment, frames.length);
      frames.push({ segmentNumber: segment + 1, slice });
    }
  }
  const present = values.map((_, segment) => frames.some((frame) => frame.segmentNumber === segment + 1));
  if (frames.length === 0) frames.push({ segmentNumber: 1, slice: Math.floor(slices / 2) });
  const bits = new Uint8Array(Math.ceil((frames.length * pixels) / 8));
  frameAt.forEach((segments, slice) => {
    if (grid.kind === 'labels') packLabels(grid.data, slice, pixels, segments, values, bits);
    else {
      for (const [segment, frame] of segments) {
        const target = new FrameBits(bits, frame, pixels);
        eachNonZero(grid.masks[segment] as Uint8Array, slice * pixels, pixels, (pixel) => target.set(pixel));
      }
    }
  });
  return { frames, bits, present };
}

function packLabels(
  data: Uint8Array | Uint16Array,
  slice: number,
  pixels: number,
  segments: ReadonlyMap<number, number>,
  values: readonly number[],
  bits: Uint8Array,
): void {
  const targets: FrameBits[] = [];
  for (const [segment, frame] of segments) targets[values[segment] as number] = new FrameBits(bits, frame, pixels);
  eachNonZero(data, slice * pixels, pixels, (pixel, value) => targets[value]?.set(pixel));
}
