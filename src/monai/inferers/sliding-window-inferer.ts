import { rearrange } from '../../compute/kernels/rearrange.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { accumulate, divide, gather, sumWeights } from '../../compute/kernels/windows.ts';
import { EndpointError } from '../../errors.ts';
import { cropped, type StridedImage, zFastest } from '../../imaging/strided-image.ts';
import type { Arguments } from '../arguments.ts';
import { type ConfigValue, isList } from '../bundle/config-value.ts';
import type { MetaImage } from '../meta-image.ts';
import type { BoundNetwork, InferenceContext, InfererDefinition } from './inferer.ts';
import { inNetworkOrder, runNetwork } from './network-tensor.ts';
import { runOrdered } from './ordered-windows.ts';
import { type PaddingMode, paddedImage } from './padded-image.ts';
import { gaussianImportance, planWindows, type WindowPlan } from './window-plan.ts';

interface SlidingWindowOptions {
  readonly roiSize: readonly number[];
  readonly overlap: readonly number[];
  /** Width of the Gaussian as a fraction of the window; none: every voxel of a window weighs the same. */
  readonly sigmaScale: readonly number[] | undefined;
  readonly paddingMode: PaddingMode;
  readonly fill: number;
}

/** MONAI `SlidingWindowInferer`: overlapping windows, their answers averaged by importance. */
export const slidingWindowInferer: InfererDefinition = {
  target: 'SlidingWindowInferer',
  compile(args) {
    const options = readOptions(args);
    args.finish();
    const isFixed = options.roiSize.every((size) => size > 0);
    return {
      ...(isFixed ? { windowShape: options.roiSize } : {}),
      run: (image, network, context) => infer(image, options, network, context),
    };
  },
};

function readOptions(args: Arguments): SlidingWindowOptions {
  const overlap = args.numbers('overlap', 3, 0.25);
  if (overlap.some((value) => value < 0 || value >= 1)) throw args.refuse("'overlap' must be at least 0 and below 1");
  const mode = args.choice('mode', ['constant', 'gaussian'], 'constant');
  const sigmaScale = args.numbers('sigma_scale', 3, 0.125);
  if (sigmaScale.some((value) => value <= 0)) throw args.refuse("'sigma_scale' must be positive");
  const modes = ['constant', 'reflect', 'replicate', 'circular'] as const;
  args.only('with_coord', false);
  args.accept('sw_batch_size', 'sw_device', 'device', 'progress', 'cache_roi_weight_map', 'cpu_thresh');
  args.accept('buffer_steps', 'buffer_dim');
  return {
    roiSize: readRoiSize(args),
    overlap,
    sigmaScale: mode === 'gaussian' ? sigmaScale : undefined,
    paddingMode: args.choice('padding_mode', modes, 'constant'),
    fill: args.number('cval', 0),
  };
}

/** A size for all axes or one for each; None and sizes that are not positive take the image's. */
function readRoiSize(args: Arguments): number[] {
  const value = args.raw('roi_size');
  const list: readonly (ConfigValue | undefined)[] = isList(value) ? value : [value, value, value];
  const sizes = list.map((size) => (size === null ? -1 : size));
  const valid = sizes.every((size): size is number => Number.isInteger(size) && (size as number) <= 4096);
  if (!valid || sizes.length !== 3) throw args.refuse("'roi_size' must be a whole number or three of them");
  return sizes;
}

async function infer(
  image: MetaImage,
  options: SlidingWindowOptions,
  network: BoundNetwork,
  context: InferenceContext,
): Promise<MetaImage> {
  const { pool, signal } = context;
  const { shape, channels } = image.voxels;
  const plan = planWindows(shape, options.roiSize, options.overlap);
  const padded = plan.paddedShape.some((size, axis) => size !== shape[axis]);
  const ordered = await inNetworkOrder(image, context);
  const source = padded ? await paddedImage(ordered, plan, options.paddingMode, options.fill, context) : ordered;
  const weights = options.sigmaScale ? gaussianImportance(plan.roi, options.sigmaScale) : undefined;
  const weightSums = weights && (await sumWeights(plan.starts, plan.roi, plan.paddedShape, weights, pool, signal));
  const sums = await sumWindows(source, channels, plan, weights, network, context);
  const divisor = weightSums ? { weightSums } : { coverage: plan.coverage };
  if (!(await divide({ sums, ...divisor }, pool, signal)))
    throw new EndpointError('model_failed', 'The network gave values that are not numbers (NaN).');
  let voxels = sums;
  if (padded) {
    voxels = sharedImage('float32', sums.channels, shape, zFastest);
    await rearrange(cropped(sums, plan.padding, shape), voxels, pool, signal);
  }
  return { voxels, affineRas: image.affineRas, applied: [], owned: true, fromArgmax: false };
}

/** Runs the network over all windows and adds up its answers. */
async function sumWindows(
  source: StridedImage<Float32Array>,
  channels: number,
  { roi, starts, paddedShape }: WindowPlan,
  weights: Float32Array | undefined,
  bound: BoundNetwork,
  context: InferenceContext,
): Promise<StridedImage<Float32Array>> {
  const { pool, signal } = context;
  const concurrency = Math.max(1, bound.network.concurrency);
  const buffers = new Map<number, Float32Array>();
  const bufferOf = (lane: number): Float32Array => {
    const known = buffers.get(lane);
    if (known) return known;
    const buffer = new Float32Array(new SharedArrayBuffer(channels * roi[0] * roi[1] * roi[2] * 4));
    buffers.set(lane, buffer);
    return buffer;
  };
  let sums: StridedImage<Float32Array> | undefined;
  await runOrdered(
    {
      count: starts.length,
      concurrency,
      prepare: (index, lane) => {
        const start = starts[index] as readonly [number, number, number];
        return gather({ image: source, start, size: roi, target: bufferOf(lane) }, pool, signal);
      },
      run: (_index, lane, both) => runNetwork(bound, bufferOf(lane), channels, roi, both),
      take: async (index, answer) => {
        sums ??= sharedImage('float32', answer.channels, paddedShape, zFastest);
        if (answer.channels !== sums.channels)
          throw new EndpointError('model_failed', 'The network changes its number of channels between windows.');
        const start = starts[index] as readonly [number, number, number];
        await accumulate({ sums, values: answer.values, weights, start, size: roi }, pool, signal);
        context.progress((index + 1) / starts.length);
      },
    },
    signal,
  );
  return sums as unknown as StridedImage<Float32Array>;
}
