import type { BoxMode } from './detections.ts';

const f = Math.fround;

/** Where a corner mode holds xmin, ymin, zmin, xmax, ymax, zmax. */
const cornerPlaces = {
  xyzxyz: [0, 1, 2, 3, 4, 5],
  xxyyzz: [0, 2, 4, 1, 3, 5],
  xyxyzz: [0, 1, 4, 2, 3, 5],
} as const;

/** MONAI's `convert_box_mode` for boxes of three axes, in its float32 steps. A negative size counts as 0. */
export function convertBoxes(boxes: Float32Array, from: BoxMode, to: BoxMode): Float32Array {
  const converted = new Float32Array(boxes.length);
  for (let at = 0; at < boxes.length; at += 6) {
    writeCorners(readCorners(boxes.subarray(at, at + 6), from), to, converted.subarray(at, at + 6));
  }
  return from === to ? boxes.slice() : converted;
}

/** xmin, ymin, zmin, xmax, ymax, zmax. */
function readCorners(box: Float32Array, mode: BoxMode): number[] {
  if (mode !== 'xyzwhd' && mode !== 'cccwhd') return cornerPlaces[mode].map((place) => box[place] as number);
  const corners = [0, 0, 0, 0, 0, 0];
  for (let axis = 0; axis < 3; axis++) {
    const [place, size] = [box[axis] as number, box[axis + 3] as number];
    const half = Math.max(0, f(size / 2));
    corners[axis] = mode === 'cccwhd' ? f(place - half) : place;
    corners[axis + 3] = f(place + (mode === 'cccwhd' ? half : Math.max(0, size)));
  }
  return corners;
}

function writeCorners(corners: readonly number[], mode: BoxMode, box: Float32Array): void {
  if (mode !== 'xyzwhd' && mode !== 'cccwhd') {
    for (const [n, place] of cornerPlaces[mode].entries()) box[place] = corners[n] as number;
    return;
  }
  for (let axis = 0; axis < 3; axis++) {
    const [low, high] = [corners[axis] as number, corners[axis + 3] as number];
    box[axis] = mode === 'cccwhd' ? f(low + high) / 2 : low;
    box[axis + 3] = high - low;
  }
}

/**
 * MONAI's `clip_boxes_to_image`: boxes of corners (`xyzxyz`) cut to the image.
 *
 * @returns the cut boxes, and the places of those that are at least a voxel wide along every axis
 */
export function clipBoxes(boxes: Float32Array, shape: readonly number[]): { boxes: Float32Array; whole: number[] } {
  const cut = boxes.map((value, n) => Math.min(Math.max(value, 0), shape[n % 3] as number));
  const whole: number[] = [];
  for (let at = 0; at < cut.length; at += 6) {
    const isWhole = [0, 1, 2].every((axis) => (cut[at + axis + 3] as number) >= f((cut[at + axis] as number) + 1));
    if (isWhole) whole.push(at / 6);
  }
  return { boxes: cut, whole };
}
