import type { Shape3 } from '../../imaging/volume.ts';

type Triple = readonly [number, number, number];

/** How MONAI's sliding window covers an image. */
export interface WindowPlan {
  /** Size of each window. */
  readonly roi: Triple;
  /** Size after padding: at least the window in each axis. */
  readonly paddedShape: Shape3;
  /** Voxels added before the first one of each axis. */
  readonly padding: Triple;
  /** First voxel of each window in the padded image, x outermost: MONAI's order. */
  readonly starts: readonly Triple[];
  /** The same axis by axis, rising: `starts` are all their combinations. */
  readonly axisStarts: readonly [readonly number[], readonly number[], readonly number[]];
  /** How many windows cover each x, y and z. */
  readonly coverage: readonly [Float32Array, Float32Array, Float32Array];
}

/**
 * Windows over an image, as MONAI's `sliding_window_inference`.
 *
 * @param roiSize - a size that is not positive takes the image's own
 * @param overlap - fraction of each axis that neighbours share, 0 ≤ overlap < 1
 */
export function planWindows(shape: Shape3, roiSize: readonly number[], overlap: readonly number[]): WindowPlan {
  const roi = shape.map((size, axis) =>
    (roiSize[axis] as number) > 0 ? (roiSize[axis] as number) : size,
  ) as unknown as Triple;
  const paddedShape = shape.map((size, axis) => Math.max(size, roi[axis] as number)) as unknown as Shape3;
  const padding = shape.map((size, axis) =>
    Math.floor(((paddedShape[axis] as number) - size) / 2),
  ) as unknown as Triple;
  const axes = [0, 1, 2].map((axis) =>
    startsAlong(paddedShape[axis] as number, roi[axis] as number, overlap[axis] as number),
  ) as [number[], number[], number[]];
  const starts = axes[0].flatMap((x) => axes[1].flatMap((y) => axes[2].map((z): Triple => [x, y, z])));
  const coverage = axes.map((axis, n) => axisCoverage(axis, paddedShape[n] as number, roi[n] as number));
  return {
    roi,
    paddedShape,
    padding,
    starts,
    axisStarts: axes,
    coverage: coverage as unknown as WindowPlan['coverage'],
  };
}

/** First voxels of the windows along one axis; the last ends where the image ends. */
function startsAlong(size: number, roi: number, overlap: number): number[] {
  const interval = roi === size ? roi : Math.max(1, Math.trunc(roi * (1 - overlap)));
  const starts: number[] = [];
  for (let start = 0; ; start += interval) {
    starts.push(Math.min(start, size - roi));
    if (start + roi >= size) return starts;
  }
}

function axisCoverage(starts: readonly number[], size: number, roi: number): Float32Array {
  const coverage = new Float32Array(new SharedArrayBuffer(size * 4));
  for (const start of starts) {
    for (let at = start; at < start + roi; at++) coverage[at] = (coverage[at] as number) + 1;
  }
  return coverage;
}

/** Gaussian importance of each voxel of a window, z fastest, in float32 steps as MONAI's `compute_importance_map`. */
export function gaussianImportance(roi: Triple, sigmaScale: readonly number[]): Float32Array {
  const f = Math.fround;
  const axes = roi.map((size, axis) => {
    const divisor = f(-2 * (size * (sigmaScale[axis] as number)) ** 2);
    return Float32Array.from({ length: size }, (_, n) => {
      const x = f(n - (size - 1) / 2);
      return Math.exp(f(f(x * x) / divisor));
    });
  }) as [Float32Array, Float32Array, Float32Array];
  const weights = new Float32Array(new SharedArrayBuffer(roi[0] * roi[1] * roi[2] * 4));
  let at = 0;
  let smallest = Number.POSITIVE_INFINITY;
  for (const x of axes[0]) {
    for (const y of axes[1]) {
      const xy = f(x * y);
      for (const z of axes[2]) {
        const weight = f(xy * z);
        weights[at++] = weight;
        if (weight < smallest) smallest = weight;
      }
    }
  }
  const floor = f(Math.max(smallest, 1e-3));
  for (let n = 0; n < weights.length; n++) weights[n] = Math.max(weights[n] as number, floor);
  return weights;
}
