/** What lies beyond the edge: zeros, the edge voxel again, or the mirrored image (torch `grid_sample`). */
export type EdgeMode = 'zeros' | 'border' | 'reflection';
export type Interpolation = 'bilinear' | 'nearest';

/**
 * Where each output index of one axis reads: two input indices and their weights, both always inside the image.
 * Nearest has weight 1 and 0; a position outside under `zeros` has two zero weights.
 */
export interface AxisSamples {
  readonly index0: Int32Array;
  readonly index1: Int32Array;
  readonly weight0: Float64Array;
  readonly weight1: Float64Array;
}

/** How output indices of one axis map to input positions: `position = scale · index + shift`, in voxels. */
export interface AxisMap {
  readonly scale: number;
  readonly shift: number;
  readonly inputSize: number;
  readonly outputSize: number;
}

/** How samples between and beyond voxels are taken. */
export interface SampleModes {
  readonly interpolation: Interpolation;
  readonly edge: EdgeMode;
  readonly alignCorners: boolean;
}

/**
 * Positions and weights of one axis, with the very rounding of torch's `affine_grid` and `grid_sample` in double
 * precision: a position halfway between two voxels (2 mm to 1 mm) goes to the same one as there. (On a turned grid such
 * positions carry the noise of the matrix solver, in MONAI too.)
 */
export function sampleAxis(map: AxisMap, modes: SampleModes): AxisSamples {
  const n = map.outputSize;
  const samples: AxisSamples = {
    index0: new Int32Array(n),
    index1: new Int32Array(n),
    weight0: new Float64Array(n),
    weight1: new Float64Array(n),
  };
  const positions = axisPositions(map, modes.alignCorners);
  for (let index = 0; index < n; index++) {
    const position = insideEdge(positions[index] as number, map.inputSize, modes);
    setSample(samples, index, position, map.inputSize, modes.interpolation);
  }
  return samples;
}

function setSample(samples: AxisSamples, at: number, position: number, size: number, mode: Interpolation): void {
  const lower = mode === 'nearest' ? roundHalfToEven(position) : Math.floor(position);
  const upperWeight = mode === 'nearest' ? 0 : position - lower;
  const inside = (index: number): boolean => index >= 0 && index < size;
  samples.weight0[at] = inside(lower) ? 1 - upperWeight : 0;
  samples.weight1[at] = inside(lower + 1) ? upperWeight : 0;
  samples.index0[at] = Math.min(Math.max(lower, 0), size - 1);
  samples.index1[at] = Math.min(Math.max(lower + 1, 0), size - 1);
}

/** Input positions of the output indices, computed as torch does through its −1…1 grid. */
function axisPositions({ scale, shift, inputSize, outputSize: n }: AxisMap, alignCorners: boolean): Float64Array {
  const positions = new Float64Array(n);
  const inputStep = 2 / (alignCorners ? (inputSize <= 1 ? 2 : inputSize) - 1 : inputSize);
  const inputShift = alignCorners ? -1 : 1 / inputSize - 1;
  const outputStep = 2 / (alignCorners ? (n <= 1 ? 2 : n) - 1 : n);
  const outputShift = alignCorners ? -1 : 1 / n - 1;
  const indexStep = 1 / outputStep;
  const theta = inputStep * scale * indexStep;
  const thetaShift = inputStep * scale * (-outputShift * indexStep) + (inputStep * shift + inputShift);
  for (let index = 0; index < n; index++) {
    const unit = alignCorners ? unitPosition(index, n) : (unitPosition(index, n) * (n - 1)) / n;
    const grid = unit * theta + thetaShift;
    positions[index] = alignCorners ? ((grid + 1) / 2) * (inputSize - 1) : ((grid + 1) * inputSize - 1) / 2;
  }
  return positions;
}

/** Element of `linspace(-1, 1, n)`, from the nearer end and with one rounding. */
function unitPosition(index: number, n: number): number {
  if (n <= 1) return 0;
  const step = 2 / (n - 1);
  return index < Math.floor(n / 2) ? multiplyAdd(step, index, -1) : -multiplyAdd(step, n - index - 1, -1);
}

/** `a · b + c` rounded once (Dekker's exact product), for a small whole b. */
function multiplyAdd(a: number, b: number, c: number): number {
  const split = (x: number): [number, number] => {
    const t = 134_217_729 * x;
    const high = t - (t - x);
    return [high, x - high];
  };
  const product = a * b;
  const [ah, al] = split(a);
  const [bh, bl] = split(b);
  const productError = al * bl - (product - ah * bh - al * bh - ah * bl);
  const sum = product + c;
  const back = sum - product;
  const sumError = product - (sum - back) + (c - back);
  return sum + (sumError + productError);
}

/** A position brought to where the edge mode reads; unchanged under `zeros`. */
export function insideEdge(position: number, size: number, { edge, alignCorners }: SampleModes): number {
  if (edge === 'zeros') return position;
  const reflected =
    edge === 'border'
      ? position
      : reflect(position, alignCorners ? 0 : -1, alignCorners ? 2 * (size - 1) : 2 * size - 1);
  return Math.min(size - 1, Math.max(reflected, 0));
}

/** Mirrors a position between `twiceLow / 2` and `twiceHigh / 2`. */
function reflect(position: number, twiceLow: number, twiceHigh: number): number {
  if (twiceLow === twiceHigh) return 0;
  const low = twiceLow / 2;
  const span = (twiceHigh - twiceLow) / 2;
  const distance = Math.abs(position - low);
  const extra = distance % span;
  return Math.floor(distance / span) % 2 === 0 ? extra + low : span - extra + low;
}

/** C's `nearbyint`: a half goes to the even neighbour. */
export function roundHalfToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
