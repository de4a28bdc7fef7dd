import { EndpointError } from '../../errors.ts';
import type { WindowPlan } from '../inferers/window-plan.ts';
import { halfToEven } from './anchors.ts';
import type { HeadMap } from './head-maps.ts';

type Triple = readonly [number, number, number];

/** Windows on the grid of an output. */
export interface ScaledPlan extends WindowPlan {
  /** Places of the output a voxel of the image. */
  readonly scale: Triple;
  /** The padded image's size in its own voxels; `padding` is in them too. */
  readonly imageShape: Triple;
}

/**
 * The plan of windows on the grid of an output that has fewer voxels than its window; MONAI's own roundings.
 *
 * @param size - the output's for one window
 * @throws EndpointError `model_failed`: a window does not begin and end on that grid
 */
export function scaledPlan(plan: WindowPlan, size: Triple): ScaledPlan {
  const scale = size.map((n, axis) => n / (plan.roi[axis] as number)) as unknown as Triple;
  const at = (value: number, axis: number): number => Math.trunc(value * (scale[axis] as number));
  const axisStarts = plan.axisStarts.map((starts, axis) =>
    starts.map((start) => {
      const from = at(start, axis);
      if (at(start + (plan.roi[axis] as number), axis) - from === size[axis]) return from;
      throw new EndpointError(
        'model_failed',
        `The network answers ${size.join(' × ')} places to a window of ${plan.roi.join(' × ')}, and a window begins between two places: roi_size, overlap or size_divisible of the bundle do not fit its network.`,
      );
    }),
  ) as unknown as WindowPlan['axisStarts'];
  const paddedShape = plan.paddedShape.map(at) as unknown as Triple;
  const coverage = axisStarts.map((starts, axis) => {
    const covers = new Float32Array(new SharedArrayBuffer((paddedShape[axis] as number) * 4));
    for (const start of starts)
      for (let n = start; n < start + (size[axis] as number); n++) covers[n] = (covers[n] as number) + 1;
    return covers;
  }) as unknown as WindowPlan['coverage'];
  if (coverage.some((axis) => axis.includes(0)))
    throw new EndpointError('model_failed', "The windows leave gaps on the grid of one of the network's outputs.");
  const starts = axisStarts[0].flatMap((x) =>
    axisStarts[1].flatMap((y) => axisStarts[2].map((z): Triple => [x, y, z])),
  );
  const { padding, paddedShape: imageShape } = plan;
  return { roi: size, paddedShape, padding, starts, axisStarts, coverage, scale, imageShape };
}

/** Where the image lies in a map of its padded form; undefined where nothing was padded. */
export function cropOf(
  { paddedShape, padding, scale, imageShape }: ScaledPlan,
  unpadded: readonly number[],
): { readonly start: Triple; readonly shape: Triple } | undefined {
  if (imageShape.every((size, axis) => size === unpadded[axis])) return undefined;
  const edge = (value: number, axis: number): number =>
    Math.min(paddedShape[axis] as number, halfToEven(value * (scale[axis] as number)));
  const start = padding.map(edge) as unknown as Triple;
  const shape = padding.map(
    (before, axis) => edge(before + (unpadded[axis] as number), axis) - (start[axis] as number),
  ) as unknown as Triple;
  return { start, shape };
}

/**
 * The importance of a window on the grid of each output, by MONAI's `nearest-exact`. MONAI scales the one that it scaled
 * for the output before, so that a fine output after a coarse one has the coarse one's steps.
 */
export function levelWeights(importance: Float32Array, roi: Triple, answers: readonly HeadMap[]): Float32Array[] {
  let [weights, shape] = [importance, roi];
  return answers.map((answer) => {
    if (answer.shape.some((size, axis) => size !== shape[axis])) {
      weights = nearestExact(weights, shape, answer.shape);
      shape = answer.shape;
    }
    return weights;
  });
}

function nearestExact(values: Float32Array, from: Triple, to: Triple): Float32Array {
  const [xs, ys, zs] = to.map((size, axis) => {
    const scale = Math.fround((from[axis] as number) / size);
    return Array.from({ length: size }, (_, n) => Math.min((from[axis] as number) - 1, Math.floor((n + 0.5) * scale)));
  }) as [number[], number[], number[]];
  const scaled = new Float32Array(new SharedArrayBuffer(to[0] * to[1] * to[2] * 4));
  let at = 0;
  for (const x of xs)
    for (const y of ys) for (const z of zs) scaled[at++] = values[(x * from[1] + y) * from[2] + z] as number;
  return scaled;
}
