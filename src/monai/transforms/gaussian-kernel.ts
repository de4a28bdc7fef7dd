/**
 * Weights of MONAI's `GaussianFilter` along one axis (`gaussian_1d`, its default approximation `erf`): the integral of the
 * bell over each voxel, cut off after `truncated` standard deviations, not normalised.
 *
 * @param sigma - in voxels, above 0
 * @returns an odd number of weights, the middle one at distance 0
 */
export function gaussianKernel(sigma: number, truncated: number): Float64Array {
  const tail = Math.trunc(Math.max(sigma * truncated, 0.5) + 0.5);
  const scale = Math.SQRT1_2 / sigma;
  return Float64Array.from({ length: 2 * tail + 1 }, (_, n) => {
    const at = n - tail;
    return Math.max(0, 0.5 * (erf(scale * (at + 0.5)) - erf(scale * (at - 0.5))));
  });
}

/** The error function to about 1e-15: its series near zero, the continued fraction of its complement further out. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  const bell = Math.exp(-z * z) / Math.sqrt(Math.PI);
  if (z < 2.5) {
    let term = z;
    let sum = z;
    for (let n = 1; n < 80; n++) {
      term *= (2 * z * z) / (2 * n + 1);
      sum += term;
    }
    return Math.sign(x) * 2 * bell * sum;
  }
  let fraction = z;
  for (let n = 60; n > 0; n--) fraction = z + n / 2 / fraction;
  return Math.sign(x) * (1 - bell / fraction);
}
