import type { AxisSamples } from '../../compute/kernels/axis-samples.ts';

/** Modes of torch's `interpolate`; linear in each axis, whatever its name there. */
export type ResizeMode = 'linear' | 'nearest' | 'nearest-exact' | 'area';

const f = Math.fround;

/** Where each output index of one axis reads, in float32 steps as torch's CPU kernels. */
export function interpolatedAxis(
  size: number,
  outSize: number,
  mode: Exclude<ResizeMode, 'area'>,
  alignCorners: boolean,
): AxisSamples {
  const index0 = new Int32Array(outSize);
  const index1 = new Int32Array(outSize);
  const weight0 = new Float64Array(outSize).fill(1);
  const weight1 = new Float64Array(outSize);
  const scale = alignCorners ? (outSize > 1 ? f((size - 1) / (outSize - 1)) : 0) : f(size / outSize);
  for (let n = 0; n < outSize; n++) {
    if (mode !== 'linear' || size === outSize) {
      const position = mode === 'nearest-exact' ? f(f(n + 0.5) * scale) : f(n * scale);
      const at = size === outSize ? n : Math.min(Math.floor(position), size - 1);
      index0[n] = at;
      index1[n] = at;
      continue;
    }
    const position = alignCorners ? f(scale * n) : Math.max(0, f(scale * (n + 0.5) - 0.5));
    const low = Math.min(Math.floor(position), size - 1);
    const weight = Math.min(Math.max(f(position - low), 0), 1);
    index0[n] = low;
    index1[n] = Math.min(low + 1, size - 1);
    weight0[n] = f(1 - weight);
    weight1[n] = weight;
  }
  return { index0, index1, weight0, weight1 };
}
