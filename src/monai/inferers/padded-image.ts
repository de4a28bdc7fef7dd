import type { AxisSamples } from '../../compute/kernels/axis-samples.ts';
import { rearrange } from '../../compute/kernels/rearrange.ts';
import { resampleSeparable } from '../../compute/kernels/resample.ts';
import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { EndpointError } from '../../errors.ts';
import { cropped, type StridedImage, zFastest } from '../../imaging/strided-image.ts';
import type { RunContext } from '../meta-image.ts';
import type { WindowPlan } from './window-plan.ts';

/** How an image smaller than a window is filled up (torch `pad`). */
export type PaddingMode = 'constant' | 'reflect' | 'replicate' | 'circular';

/** The image with the plan's padding around it, z fastest. */
export async function paddedImage(
  image: StridedImage<Float32Array>,
  { paddedShape, padding }: WindowPlan,
  mode: PaddingMode,
  fill: number,
  context: RunContext,
): Promise<StridedImage<Float32Array>> {
  const target = sharedImage('float32', image.channels, paddedShape, zFastest);
  if (mode === 'constant') {
    if (fill !== 0) target.data.fill(fill);
    await rearrange(image, cropped(target, padding, image.shape), context.pool, context.signal);
    return target;
  }
  const samples = ([0, 1, 2] as const).map((axis) =>
    paddedAxis(image.shape[axis], paddedShape[axis], padding[axis], mode),
  ) as [AxisSamples, AxisSamples, AxisSamples];
  await resampleSeparable(image, target, samples, context.pool, context.signal);
  return target;
}

function paddedAxis(size: number, paddedSize: number, before: number, mode: PaddingMode): AxisSamples {
  const after = paddedSize - size - before;
  if (Math.max(before, after) > (mode === 'reflect' ? size - 1 : mode === 'circular' ? size : Number.POSITIVE_INFINITY))
    throw new EndpointError(
      'unprocessable_image',
      `The image is too small for the bundle's window (padding '${mode}').`,
    );
  const index0 = Int32Array.from({ length: paddedSize }, (_, n) => {
    const at = n - before;
    if (mode === 'circular') return (at + size) % size;
    if (mode === 'replicate') return Math.min(Math.max(at, 0), size - 1);
    return at < 0 ? -at : at >= size ? 2 * (size - 1) - at : at;
  });
  const zeros = new Float64Array(paddedSize);
  return { index0, index1: index0, weight0: new Float64Array(paddedSize).fill(1), weight1: zeros };
}
