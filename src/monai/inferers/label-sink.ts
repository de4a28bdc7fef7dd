import type { AxisSamples } from '../../compute/kernels/axis-samples.ts';
import type { Columns } from '../../compute/kernels/column-task.ts';
import { addWindow, clear, sampleArea, settleArea } from '../../compute/kernels/columns.ts';
import { rearrange } from '../../compute/kernels/rearrange.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { cropped, type StridedImage, zFastest } from '../../imaging/strided-image.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { labelArrayType } from '../transforms/label-type.ts';
import { ColumnSlots, peakColumns, type WindowRow } from './column-slots.ts';
import type { ColumnwisePlan } from './label-plan.ts';
import { notNumbers, type WindowSink, type WindowWeights } from './window-sink.ts';

type Labels = StridedImage<Uint8Array | Uint16Array>;

/**
 * Adds windows up and reduces what is complete to labels at once: only the columns that windows still to come will
 * touch are in memory with all their channels. The labels are those of {@link SumSink} and the steps after it.
 */
export class LabelSink implements WindowSink {
  readonly #image: MetaImage;
  readonly #windows: WindowWeights;
  readonly #labels: ColumnwisePlan;
  readonly #context: RunContext;
  readonly #slots: ColumnSlots;
  readonly #columns: Columns;
  /** Labels on the padded grid: the result, or the first guesses of the interpolation. */
  readonly #grid: Labels;
  readonly #target: Labels | undefined;
  readonly #samples: readonly [AxisSamples, AxisSamples, AxisSamples] | undefined;

  constructor(image: MetaImage, channels: number, windows: WindowWeights, labels: ColumnwisePlan, context: RunContext) {
    const { plan } = windows;
    const { sampling } = labels;
    this.#image = image;
    this.#windows = windows;
    this.#labels = labels;
    this.#context = context;
    this.#slots = new ColumnSlots(plan);
    const length = peakColumns(plan, sampling !== undefined) * channels * plan.paddedShape[2];
    const data = new Float32Array(new SharedArrayBuffer(length * 4));
    this.#columns = { data, slots: this.#slots.slots, channels, shape: plan.paddedShape };
    // A guess needs a value more than there are channels.
    this.#grid = sharedImage(labelArrayType(channels + (sampling ? 1 : 0)), 1, plan.paddedShape, zFastest);
    this.#target = sampling && sharedImage(labelArrayType(channels), 1, sampling.shape, zFastest);
    this.#samples = sampling && shifted(sampling.samples, plan.padding);
  }

  async add(index: number, values: Float32Array): Promise<void> {
    const { plan, weights } = this.#windows;
    const { pool, signal } = this.#context;
    const [, inY, inZ] = plan.axisStarts.map((starts) => starts.length) as [number, number, number];
    const row = { x: Math.floor(index / (inY * inZ)), y: Math.floor(index / inZ) % inY };
    if (index % inZ === 0) this.#slots.open(row);
    const start = plan.starts[index] as readonly [number, number, number];
    await addWindow({ columns: this.#columns, values, weights, start, size: plan.roi }, pool, signal);
    if (index % inZ === inZ - 1) await this.#settle(row);
  }

  async #settle(row: WindowRow): Promise<void> {
    const { plan, weightSums } = this.#windows;
    const { pool, signal } = this.#context;
    const area = this.#slots.completed(row);
    const columns = this.#columns;
    const { data: labels } = this.#grid;
    const unsure = labels instanceof Uint8Array ? 255 : 65_535;
    const { softmax } = this.#labels;
    const divisor = weightSums ? { weightSums } : { coverage: plan.coverage };
    const give = this.#samples ? 'values' : 'labels';
    if (!(await settleArea({ columns, labels, give, softmax, unsure, ...divisor }, area, pool, signal)))
      throw notNumbers();
    if (this.#samples && this.#target) {
      const [xs, ys] = [this.#samples[0], this.#samples[1]];
      const { data: target, shape: targetShape } = this.#target;
      const input = { columns, guesses: labels, unsure, samples: this.#samples, target, targetShape };
      const keepsWeight = this.#samples.every(keepsWeights);
      const outputs = { xs: endingIn(xs, area.x), ys: endingIn(ys, area.y) };
      await sampleArea({ ...input, ...outputs, keepsWeight }, pool, signal);
      await clear(columns, this.#slots.close(row, true), pool, signal);
    } else this.#slots.close(row, false);
  }

  async finish(): Promise<MetaImage> {
    const { plan } = this.#windows;
    const { pool, signal } = this.#context;
    const { sampling, rest } = this.#labels;
    const { shape } = this.#image.voxels;
    let voxels = this.#target ?? this.#grid;
    if (!this.#target && plan.paddedShape.some((size, axis) => size !== shape[axis])) {
      voxels = sharedImage(labelArrayType(this.#columns.channels), 1, shape, zFastest);
      await rearrange(cropped(this.#grid, plan.padding, shape), voxels, pool, signal);
    }
    const affineRas = sampling?.affineRas ?? this.#image.affineRas;
    const { spatialDims } = this.#image;
    let result: MetaImage = { voxels, affineRas, applied: [], owned: true, fromArgmax: true, spatialDims };
    for (const operation of rest) result = await operation.invert(result, { nearest: false }, this.#context);
    return result;
  }
}

/** The samples on the padded grid. */
function shifted(
  samples: readonly [AxisSamples, AxisSamples, AxisSamples],
  padding: readonly [number, number, number],
): readonly [AxisSamples, AxisSamples, AxisSamples] {
  return samples.map((axis, n) => ({
    ...axis,
    index0: axis.index0.map((index) => index + (padding[n] as number)),
    index1: axis.index1.map((index) => index + (padding[n] as number)),
  })) as unknown as readonly [AxisSamples, AxisSamples, AxisSamples];
}

/** Output indices whose farther source index lies in a range: then all that they read is complete. */
function endingIn({ index0, index1 }: AxisSamples, [from, to]: readonly [number, number]): Int32Array {
  const indices: number[] = [];
  for (let n = 0; n < index0.length; n++) {
    const last = Math.max(index0[n] as number, index1[n] as number);
    if (last >= from && last < to) indices.push(n);
  }
  return Int32Array.from(indices);
}

const keepsWeights = ({ weight0, weight1 }: AxisSamples): boolean =>
  weight0.every((weight, n) => Math.abs(weight + (weight1[n] as number) - 1) < 1e-9);
