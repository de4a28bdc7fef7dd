import { gather, sumWeights } from '../../compute/kernels/windows.ts';
import { EndpointError } from '../../errors.ts';
import type { Axis, StridedImage } from '../../imaging/strided-image.ts';
import { voxelCount } from '../../imaging/volume.ts';
import type { MetaImage } from '../meta-image.ts';
import { HeldAnswers } from './held-answers.ts';
import type { BoundNetwork, InferenceContext } from './inferer.ts';
import { columnwise } from './label-plan.ts';
import { LabelSink } from './label-sink.ts';
import { checkForm, fixedBatch } from './network-form.ts';
import { inNetworkOrder, runNetwork } from './network-tensor.ts';
import { runOrdered } from './ordered-windows.ts';
import { type PaddingMode, paddedImage } from './padded-image.ts';
import { gaussianImportance, type WindowPlan } from './window-plan.ts';
import { SumSink, type WindowSink, type WindowWeights } from './window-sink.ts';

/** An image of all channels up to this size is the faster way. */
const defaultDenseBytes = 1024 ** 3;

export interface Windowing {
  /** Width of the Gaussian along each axis as a fraction of the window; none: all voxels of a window weigh the same. */
  readonly sigmaScale: readonly [number, number, number] | undefined;
  readonly paddingMode: PaddingMode;
  readonly fill: number;
  /** Windows a run where batches are a gain and the ONNX file leaves their size open. */
  readonly windowBatch: number;
}

/** A plan with the axes that the network sees of its windows. */
interface NetworkWindows extends WindowPlan {
  readonly axes: readonly Axis[];
}

/** MONAI's `sliding_window_inference`: runs the network over all windows and averages its answers by importance. */
export async function inferWindows(
  image: MetaImage,
  plan: NetworkWindows,
  options: Windowing,
  network: BoundNetwork,
  context: InferenceContext,
): Promise<MetaImage> {
  const { pool, signal } = context;
  const { shape, channels } = image.voxels;
  checkForm(network.input, { channels, shape: plan.roi, axes: plan.axes });
  const padded = plan.paddedShape.some((size, axis) => size !== shape[axis]);
  const ordered = await inNetworkOrder(image, context);
  const source = padded ? await paddedImage(ordered, plan, options.paddingMode, options.fill, context) : ordered;
  const weights = options.sigmaScale && gaussianImportance(plan.roi, options.sigmaScale);
  const weightSums = weights && (await sumWeights(plan.starts, plan.roi, plan.paddedShape, weights, pool, signal));
  const batch = fixedBatch(network.input) ?? (takesBatches(network) ? options.windowBatch : 1);
  const open = (outChannels: number): WindowSink => sinkFor(image, outChannels, { plan, weights, weightSums }, context);
  const sink = await runWindows(source, plan, batch, open, network, context);
  return sink.finish();
}

function sinkFor(image: MetaImage, channels: number, windows: WindowWeights, context: InferenceContext): WindowSink {
  const { labels, denseBytes = defaultDenseBytes } = context;
  const isBig = channels > 1 && channels * voxelCount(windows.plan.paddedShape) * 4 > denseBytes;
  const plan = isBig && labels ? columnwise(labels) : undefined;
  return plan ? new LabelSink(image, channels, windows, plan, context) : new SumSink(image, channels, windows, context);
}

/** Whether several windows a run are a gain, and the first axis of input and output is a batch: one name for both. */
function takesBatches({ network, input, output }: BoundNetwork): boolean {
  const [rows] = input.dims;
  return network.gainsFromBatches === true && typeof rows === 'string' && output.dims[0] === rows;
}

/** Runs the network over all windows, a batch at a time; the answers go to the sink in the order of the windows. */
async function runWindows(
  source: StridedImage<Float32Array>,
  { roi, starts, axes }: NetworkWindows,
  batch: number,
  open: (channels: number) => WindowSink,
  bound: BoundNetwork,
  context: InferenceContext,
): Promise<WindowSink> {
  const { pool, signal } = context;
  const form = { channels: source.channels, shape: roi, axes };
  const windowLength = source.channels * voxelCount(roi);
  const rowsIn = (index: number): number => Math.min(batch, starts.length - index * batch);
  // A fixed batch is always full: the last one keeps the windows of an earlier run in the rows that it does not need.
  const isFixed = fixedBatch(bound.input) !== undefined;
  const buffers = new Map<number, Float32Array>();
  const bufferOf = (lane: number): Float32Array => {
    const known = buffers.get(lane);
    if (known) return known;
    const buffer = new Float32Array(new SharedArrayBuffer(batch * windowLength * 4));
    buffers.set(lane, buffer);
    return buffer;
  };
  const held = new HeldAnswers(answerBytes(bound, batch, voxelCount(roi)));
  let sink: WindowSink | undefined;
  let outChannels: number | undefined;
  await runOrdered(
    {
      count: Math.ceil(starts.length / batch),
      concurrency: Math.max(1, bound.network.concurrency),
      prepare: async (index, lane) => {
        for (let row = 0; row < rowsIn(index); row++) {
          const start = starts[index * batch + row] as readonly [number, number, number];
          const target = bufferOf(lane).subarray(row * windowLength, (row + 1) * windowLength);
          await gather({ image: source, start, size: roi, target }, pool, signal);
        }
      },
      run: (index, lane, both) => {
        const rows = isFixed ? batch : rowsIn(index);
        return runNetwork(
          bound,
          bufferOf(lane).subarray(0, rows * windowLength),
          rows,
          form,
          both,
          held.roomFor(index),
        );
      },
      take: async (index, answer) => {
        if (answer.shape.some((size, axis) => size !== roi[axis])) throw otherGrid(answer.shape, roi);
        outChannels ??= answer.channels;
        if (answer.channels !== outChannels)
          throw new EndpointError('model_failed', 'The network changes its number of channels between windows.');
        sink ??= open(outChannels);
        const length = answer.channels * voxelCount(roi);
        for (let row = 0; row < rowsIn(index); row++) {
          await sink.add(index * batch + row, answer.values.subarray(row * length, (row + 1) * length));
        }
        held.taken(index);
        context.progress(Math.min(1, ((index + 1) * batch) / starts.length));
      },
    },
    signal,
  );
  return sink as unknown as WindowSink;
}

/** Bytes of the answer to a run, where the ONNX file tells the channels; else 0. */
function answerBytes({ output }: BoundNetwork, batch: number, windowVoxels: number): number {
  const channels = output.dims[1];
  return typeof channels === 'number' && channels > 0 ? batch * channels * windowVoxels * 4 : 0;
}

const otherGrid = (got: readonly number[], roi: readonly number[]): EndpointError =>
  new EndpointError(
    'model_failed',
    `The network answered ${got.join(' × ')} voxels to a window of ${roi.join(' × ')}: the same grid was expected.`,
  );
