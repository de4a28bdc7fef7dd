import { clipBoxes } from './box-modes.ts';

const f = Math.fround;

/** MONAI's `BoxSelector`. */
export interface BoxSelection {
  readonly applySigmoid: boolean;
  readonly scoreThreshold: number;
  readonly perLevel: number;
  readonly nmsThreshold: number;
  readonly perImage: number;
}

/** Candidates of one level, best first; the box is not decoded yet. */
export interface Candidates {
  /** Place · anchors + anchor. */
  readonly anchors: Int32Array;
  readonly scores: Float32Array;
  readonly labels: Int32Array;
}

/**
 * The anchors of a level whose score is above the threshold, at most so many. Of equal scores the first ones come first:
 * torch leaves their order open.
 *
 * @param logits - (anchor of a place, class) one after another, each over all places
 */
export function selectCandidates(
  logits: Float32Array,
  anchorsPerPlace: number,
  classes: number,
  { applySigmoid, scoreThreshold, perLevel }: BoxSelection,
): Candidates {
  const places = logits.length / (anchorsPerPlace * classes);
  const threshold = f(scoreThreshold);
  const found: number[] = [];
  const scoreAt = (at: number): number => {
    const value = logits[at] as number;
    return applySigmoid ? f(1 / (1 + Math.exp(-value))) : value;
  };
  for (let at = 0; at < logits.length; at++) if (scoreAt(at) > threshold) found.push(at);
  const scores = Float32Array.from(found, scoreAt);
  // Where MONAI's flat list has a candidate: place, anchor, class.
  const flat = (at: number): number => (at % places) * anchorsPerPlace * classes + Math.floor(at / places);
  const order = best(scores, perLevel).toSorted(
    (a, b) => (scores[b] as number) - (scores[a] as number) || flat(found[a] as number) - flat(found[b] as number),
  );
  const chosen = order.slice(0, perLevel);
  const flats = chosen.map((n) => flat(found[n] as number));
  return {
    anchors: Int32Array.from(flats, (at) => Math.floor(at / classes)),
    scores: Float32Array.from(chosen, (n) => scores[n] as number),
    labels: Int32Array.from(flats, (at) => at % classes),
  };
}

/** Places of the best scores, and of all that equal the last of them. */
function best(scores: Float32Array, count: number): number[] {
  const least = scores.length <= count ? Number.NEGATIVE_INFINITY : (scores.toSorted().at(-count) as number);
  const places: number[] = [];
  for (let n = 0; n < scores.length; n++) if ((scores[n] as number) >= least) places.push(n);
  return places;
}

/**
 * MONAI's `batched_nms` by intersection over union: the best box first, each class by itself.
 *
 * @param boxes - corners (`xyzxyz`)
 * @returns places of the boxes that are kept, best first
 */
export function suppressOverlapping(
  boxes: Float32Array,
  scores: Float32Array,
  labels: Int32Array,
  { nmsThreshold, perImage }: Pick<BoxSelection, 'nmsThreshold' | 'perImage'>,
): number[] {
  const threshold = f(nmsThreshold);
  const greatest = boxes.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY);
  // Classes are moved apart so that their boxes do not overlap, with the roundings that this brings.
  const apart = boxes.map((value, n) => f(value + f((labels[Math.floor(n / 6)] as number) * f(greatest + 1))));
  const order = Array.from(scores, (_, n) => n).sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b);
  const kept: number[] = [];
  let left = order;
  while (left.length > 0) {
    const [picked, ...others] = left as [number, ...number[]];
    kept.push(picked);
    if (perImage >= 1 && kept.length >= perImage) break;
    left = others.filter((other) => overlap(apart, other, picked) <= threshold);
  }
  return kept;
}

function overlap(boxes: Float32Array, a: number, b: number): number {
  let [inter, volumeA, volumeB] = [1, 1, 1];
  for (let axis = 0; axis < 3; axis++) {
    const [lowA, highA] = [boxes[a * 6 + axis] as number, boxes[a * 6 + axis + 3] as number];
    const [lowB, highB] = [boxes[b * 6 + axis] as number, boxes[b * 6 + axis + 3] as number];
    inter = f(inter * Math.max(0, f(Math.min(highA, highB) - Math.max(lowA, lowB))));
    volumeA = f(volumeA * f(highA - lowA));
    volumeB = f(volumeB * f(highB - lowB));
  }
  const union = f(f(volumeA + volumeB) - inter);
  return f(inter / f(union + 1.1920928955078125e-7));
}

/** Cuts the boxes of a level to the image and leaves out those that are then empty. */
export function withinImage(
  boxes: Float32Array,
  candidates: Candidates,
  shape: readonly number[],
): { boxes: Float32Array; scores: number[]; labels: number[] } {
  const { boxes: cut, whole } = clipBoxes(boxes, shape);
  const kept = new Float32Array(whole.length * 6);
  for (const [n, place] of whole.entries()) kept.set(cut.subarray(place * 6, place * 6 + 6), n * 6);
  return {
    boxes: kept,
    scores: whole.map((place) => candidates.scores[place] as number),
    labels: whole.map((place) => candidates.labels[place] as number),
  };
}
