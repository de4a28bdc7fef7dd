/**
 * Blurs along x and writes the result transposed, so that two calls blur a plane along both axes and put it back.
 * Edges are repeated. The kernel ends at four standard deviations.
 *
 * @param source - `rows` × `columns`, x fastest
 * @param target - `columns` × `rows`: the transposed plane
 * @param sigmaPixels - 0 only transposes
 */
export function blurRows(
  source: Float32Array,
  target: Float32Array,
  columns: number,
  rows: number,
  sigmaPixels: number,
): void {
  const weights = gaussianWeights(sigmaPixels);
  const radius = weights.length - 1;
  const line = new Float32Array(columns + 2 * radius);
  for (let row = 0; row < rows; row++) {
    line.set(source.subarray(row * columns, (row + 1) * columns), radius);
    line.fill(line[radius] as number, 0, radius);
    line.fill(line[radius + columns - 1] as number, radius + columns);
    for (let column = 0; column < columns; column++) {
      const at = column + radius;
      let sum = (weights[0] as number) * (line[at] as number);
      for (let n = 1; n <= radius; n++) {
        sum += (weights[n] as number) * ((line[at - n] as number) + (line[at + n] as number));
      }
      target[column * rows + row] = sum;
    }
  }
}

/** Weights of offset 0, 1, … of a Gaussian whose two-sided sum is 1. */
function gaussianWeights(sigma: number): Float64Array {
  if (sigma === 0) return Float64Array.of(1);
  const weights = Float64Array.from({ length: Math.ceil(4 * sigma) + 1 }, (_, n) => Math.exp(-0.5 * (n / sigma) ** 2));
  const sum = weights.reduce((total, weight, n) => total + (n === 0 ? weight : 2 * weight), 0);
  return weights.map((weight) => weight / sum);
}
