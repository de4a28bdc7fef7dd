import { rearrange } from '../../compute/kernels/rearrange.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { accumulate, divide } from '../../compute/kernels/windows.ts';
import { EndpointError } from '../../errors.ts';
import { cropped, type StridedImage, zFastest } from '../../imaging/strided-image.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import type { WindowPlan } from './window-plan.ts';

/** Takes the network's answers, one window after another in their order, and makes the image of them. */
export interface WindowSink {
  /** @param values - the answer to one window, (C, X, Y, Z) with z fastest */
  add(index: number, values: Float32Array): Promise<void>;
  finish(): Promise<MetaImage>;
}

/** What weighs the windows and lies below the image. */
export interface WindowWeights {
  readonly plan: WindowPlan;
  /** Importance of each voxel of a window; none means 1 everywhere. */
  readonly weights: Float32Array | undefined;
  /** Sum of the weights at each voxel of the padded image, where there are weights. */
  readonly weightSums: Float32Array | undefined;
}

export const notNumbers = (): EndpointError =>
  new EndpointError('model_failed', 'The network gave values that are not numbers (NaN).');

/** Adds all windows up in one image of all channels. */
export class SumSink implements WindowSink {
  readonly #image: MetaImage;
  readonly #windows: WindowWeights;
  readonly #context: RunContext;
  readonly #sums: StridedImage<Float32Array>;

  /** @param image - that the network is run over */
  constructor(image: MetaImage, channels: number, windows: WindowWeights, context: RunContext) {
    this.#image = image;
    this.#windows = windows;
    this.#context = context;
    this.#sums = sharedImage('float32', channels, windows.plan.paddedShape, zFastest);
  }

  async add(index: number, values: Float32Array): Promise<void> {
    const { plan, weights } = this.#windows;
    const start = plan.starts[index] as readonly [number, number, number];
    const { pool, signal } = this.#context;
    await accumulate({ sums: this.#sums, values, weights, start, size: plan.roi }, pool, signal);
  }

  async finish(): Promise<MetaImage> {
    const { plan, weightSums } = this.#windows;
    const { pool, signal } = this.#context;
    const { shape } = this.#image.voxels;
    const divisor = weightSums ? { weightSums } : { coverage: plan.coverage };
    if (!(await divide({ sums: this.#sums, ...divisor }, pool, signal))) throw notNumbers();
    let voxels = this.#sums;
    if (plan.paddedShape.some((size, axis) => size !== shape[axis])) {
      voxels = sharedImage('float32', voxels.channels, shape, zFastest);
      await rearrange(cropped(this.#sums, plan.padding, shape), voxels, pool, signal);
    }
    const { affineRas, spatialDims } = this.#image;
    return { voxels, affineRas, applied: [], owned: true, fromArgmax: false, spatialDims };
  }
}
