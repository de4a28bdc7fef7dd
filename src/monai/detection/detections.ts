/** How the numbers of a box are meant, by MONAI's names. */
export const boxModes = ['xyzxyz', 'xxyyzz', 'xyxyzz', 'xyzwhd', 'cccwhd'] as const;
export type BoxMode = (typeof boxModes)[number];

/** `voxels` of the preprocessed image, or millimetres in the patient's space. */
export type BoxSpace = 'voxels' | 'LPS' | 'RAS';

/** What a detector found, best first. Not an image: it goes through a run beside the images. */
export interface Detections {
  readonly kind: 'detections';
  /** Six numbers a box. */
  readonly boxes: Float32Array;
  readonly mode: BoxMode;
  readonly space: BoxSpace;
  readonly scores: Float32Array;
  /** Class of each box, 0 being the first. */
  readonly labels: Int32Array;
}

/** Keys that the bundle calls the parts of its detections by. */
export interface DetectionKeys {
  readonly box: string;
  readonly label: string;
  readonly score: string;
}

/** The detections at some places, in the order of these. */
export function pickDetections(from: Detections, places: readonly number[]): Detections {
  const boxes = new Float32Array(places.length * 6);
  for (const [n, place] of places.entries()) boxes.set(from.boxes.subarray(place * 6, place * 6 + 6), n * 6);
  return {
    ...from,
    boxes,
    scores: Float32Array.from(places, (place) => from.scores[place] as number),
    labels: Int32Array.from(places, (place) => from.labels[place] as number),
  };
}
