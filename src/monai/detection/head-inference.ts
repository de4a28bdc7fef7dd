import { rearrange } from '../../compute/kernels/rearrange.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { onlyNumbers } from '../../compute/kernels/voxelwise.ts';
import { accumulate, divide, gather, sumWeights } from '../../compute/kernels/windows.ts';
import { EndpointError } from '../../errors.ts';
import type { Network } from '../../imaging/network.ts';
import { cropped, type StridedImage, stridedOver, zFastest } from '../../imaging/strided-image.ts';
import type { TensorInfo } from '../../imaging/tensor.ts';
import { voxelCount } from '../../imaging/volume.ts';
import type { InferenceContext } from '../inferers/inferer.ts';
import { checkForm, fixedBatch, type WindowForm } from '../inferers/network-form.ts';
import { floatsOf, toShared, toTensor } from '../inferers/network-tensor.ts';
import { runOrdered } from '../inferers/ordered-windows.ts';
import { paddedImage } from '../inferers/padded-image.ts';
import type { Windowing } from '../inferers/window-inference.ts';
import { gaussianImportance, type WindowPlan } from '../inferers/window-plan.ts';
import { notNumbers } from '../inferers/window-sink.ts';
import type { HeadMap } from './head-maps.ts';
import { cropOf, levelWeights, type ScaledPlan, scaledPlan } from './scaled-windows.ts';

/** A detector's network: its input, and its outputs in the order that they are worked on. */
export interface HeadNetwork {
  readonly network: Network;
  readonly input: TensorInfo;
  readonly heads: readonly TensorInfo[];
}

const axes = [0, 1, 2] as const;

/** Runs the network over the whole image at once; a map for each head. */
export async function inferWhole(
  image: StridedImage<Float32Array>,
  network: HeadNetwork,
  context: InferenceContext,
): Promise<HeadMap[]> {
  const form = { channels: image.channels, shape: image.shape, axes };
  checkForm(network.input, form);
  context.progress(0);
  const answers = await runHeads(network, image.data, form, context.signal);
  const maps = await Promise.all(answers.map(async (map) => ({ ...map, data: await toShared(map.data) })));
  for (const { data, channels, shape } of maps) {
    const voxels = stridedOver(data, channels, shape, zFastest);
    if (!(await onlyNumbers(voxels, context.pool, context.signal))) throw notNumbers();
  }
  context.progress(1);
  return maps;
}

/** MONAI's `sliding_window_inference` of a network whose answers are coarser than its window. */
export async function inferHeadWindows(
  image: StridedImage<Float32Array>,
  plan: WindowPlan,
  options: Windowing,
  network: HeadNetwork,
  context: InferenceContext,
): Promise<HeadMap[]> {
  const { pool, signal } = context;
  const form = { channels: image.channels, shape: plan.roi, axes };
  checkForm(network.input, form);
  const isPadded = plan.paddedShape.some((size, axis) => size !== image.shape[axis]);
  const source = isPadded ? await paddedImage(image, plan, options.paddingMode, options.fill, context) : image;
  const importance = options.sigmaScale && gaussianImportance(plan.roi, options.sigmaScale);
  const length = image.channels * voxelCount(plan.roi);
  const buffers = new Map<number, Float32Array>();
  const bufferOf = (lane: number): Float32Array => {
    const buffer = buffers.get(lane) ?? new Float32Array(new SharedArrayBuffer(length * 4));
    buffers.set(lane, buffer);
    return buffer;
  };
  let sinks: HeadSink[] | undefined;
  await runOrdered(
    {
      count: plan.starts.length,
      concurrency: Math.max(1, network.network.concurrency),
      prepare: (index, lane) => {
        const start = plan.starts[index] as readonly [number, number, number];
        return gather({ image: source, start, size: plan.roi, target: bufferOf(lane) }, pool, signal);
      },
      run: (_index, lane, both) => runHeads(network, bufferOf(lane), form, both),
      take: async (index, answers) => {
        sinks ??= openSinks(plan, answers, importance);
        for (const [n, answer] of answers.entries()) await (sinks[n] as HeadSink).add(index, answer, context);
        context.progress((index + 1) / plan.starts.length);
      },
    },
    signal,
  );
  return Promise.all((sinks as unknown as HeadSink[]).map((sink) => sink.finish(image.shape, context)));
}

function openSinks(plan: WindowPlan, answers: readonly HeadMap[], importance: Float32Array | undefined): HeadSink[] {
  const weights = importance && levelWeights(importance, plan.roi, answers);
  return answers.map((answer, n) => new HeadSink(plan, answer, weights?.[n]));
}

/** Adds the answers of one head up over the image. */
class HeadSink {
  readonly #first: HeadMap;
  readonly #plan: ScaledPlan;
  readonly #weights: Float32Array | undefined;
  readonly #sums: StridedImage<Float32Array>;

  constructor(plan: WindowPlan, first: HeadMap, weights: Float32Array | undefined) {
    this.#first = first;
    this.#plan = scaledPlan(plan, first.shape);
    this.#weights = weights;
    this.#sums = sharedImage('float32', first.channels, this.#plan.paddedShape, zFastest);
  }

  async add(index: number, answer: HeadMap, { pool, signal }: InferenceContext): Promise<void> {
    const { channels, shape } = this.#first;
    if (answer.channels !== channels || answer.shape.some((size, axis) => size !== shape[axis]))
      throw new EndpointError('model_failed', 'The network changes the size of its outputs between windows.');
    const start = this.#plan.starts[index] as readonly [number, number, number];
    const input = { sums: this.#sums, values: answer.data, weights: this.#weights, start, size: shape };
    await accumulate(input, pool, signal);
  }

  /** @param imageShape - without the padding up to a window */
  async finish(imageShape: readonly number[], { pool, signal }: InferenceContext): Promise<HeadMap> {
    const { starts, roi, paddedShape, coverage } = this.#plan;
    const weights = this.#weights;
    const divisor = weights
      ? { weightSums: await sumWeights(starts, roi, paddedShape, weights, pool, signal) }
      : { coverage };
    if (!(await divide({ sums: this.#sums, ...divisor }, pool, signal))) throw notNumbers();
    const { channels, data } = this.#sums;
    const crop = cropOf(this.#plan, imageShape);
    if (!crop) return { data, channels, shape: paddedShape };
    const inside = sharedImage('float32', channels, crop.shape, zFastest);
    await rearrange(cropped(this.#sums, crop.start, crop.shape), inside, pool, signal);
    return { data: inside.data, channels, shape: crop.shape };
  }
}

/** Runs the network on one window; a map for each head. Of a fixed batch the other rows are zero. */
async function runHeads(
  { network, input, heads }: HeadNetwork,
  window: Float32Array,
  form: WindowForm,
  signal: AbortSignal,
): Promise<HeadMap[]> {
  const rows = fixedBatch(input) ?? 1;
  const data = rows === 1 ? window : new Float32Array(rows * window.length);
  if (data !== window) data.set(window);
  const dims = [rows, form.channels, ...form.shape];
  const answer = await network.run({ [input.name]: toTensor(input.type, dims, data) }, signal);
  return heads.map(({ name }) => {
    const tensor = answer[name];
    if (!tensor) throw new EndpointError('model_failed', `The network gave no output '${name}'.`);
    const [batch, channels = 0, ...sizes] = tensor.dims;
    const values = floatsOf(tensor);
    const length = channels * sizes.reduce((product, size) => product * size, 1);
    if (batch !== rows || sizes.length !== 3 || length === 0 || values.length !== rows * length) {
      throw new EndpointError(
        'model_failed',
        `The network's output '${name}' is ${tensor.dims.join(' × ')}: ${rows} × channels × three axes were expected.`,
      );
    }
    return { data: values.subarray(0, length), channels, shape: sizes as unknown as HeadMap['shape'] };
  });
}
