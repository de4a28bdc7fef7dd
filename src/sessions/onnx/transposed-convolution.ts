import type { OnnxBuilder, OnnxConstants, OnnxNode } from './model.ts';

const axes = 3;

/**
 * Nanoseconds on one core of an x86 server with onnxruntime 1.30, which decide whether a rewriting pays: a multiply-add
 * of a convolution, a value that ConvTranspose scatters into its output (its 3-D scatter is a generic, slow one), a value
 * that is moved to its place here.
 */
const cost = { multiplyAdd: 1 / 36, scatter: 10, move: 4.5 } as const;

/** One axis of a transposed convolution that enlarges it exactly `stride` times. */
interface Axis {
  readonly stride: number;
  readonly kernel: number;
  readonly padding: number;
  /** Output voxel q·stride + r sums the inputs q − d over the taps d·stride + r + padding of the kernel, d = first…last. */
  readonly first: number;
  readonly last: number;
}

/**
 * Rewrites a 3-D transposed convolution (`ConvTranspose`, ONNX operators) as what it is equal to: a convolution that
 * computes the stride³ output voxels of each input voxel as channels, and their interleaving ("sub-pixel convolution",
 * Shi et al. 2016). The sums are the same but for their order. Needs operator set 13.
 *
 * @returns whether the node is replaced: not where nothing is gained, or something is not as expected
 */
export function replaceTransposedConvolution(node: OnnxNode, constants: OnnxConstants, builder: OnnxBuilder): boolean {
  if (node.opType !== 'ConvTranspose' || node.domain !== '') return false;
  const [input, weightName = '', biasName = ''] = node.inputs;
  const weight = constants.floats(weightName);
  const bias = biasName === '' ? undefined : constants.floats(biasName);
  const [output] = node.outputs;
  if (!input || !output || !weight || weight.dims.length !== axes + 2 || (biasName !== '' && !bias)) return false;
  const [channelsIn, channelsOut] = weight.dims as [number, number];
  const geometry = geometryOf(node, weight.dims.slice(2));
  if (!geometry || !pays(geometry, channelsIn)) return false;

  const strides = geometry.map(({ stride }) => stride);
  const phases = product(strides);
  const kernelShape = geometry.map(({ first, last }) => last - first + 1);
  const dims = [phases * channelsOut, channelsIn, ...kernelShape];
  const inputs = [input, builder.floats(dims, subPixelWeights(weight.data, channelsIn, channelsOut, geometry))];
  if (bias) inputs.push(builder.floats([phases * channelsOut], repeat(bias.data, phases)));
  const pads = [...geometry.map(({ last }) => last), ...geometry.map(({ first }) => -first)];
  const phased = builder.node('Conv', inputs, { kernel_shape: kernelShape, pads, strides: [1, 1, 1] });

  // [N, r0, r1, r2, C, D, H, W] → [N, C, D, r0, H, r1, W, r2]; the last two axes by themselves: whole rows move faster.
  const shape = builder.node('Shape', [input]);
  const batch = builder.node('Slice', [shape, builder.integers([0]), builder.integers([1])]);
  const space = builder.node('Slice', [shape, builder.integers([2]), builder.integers([2 + axes])]);
  const apart = builder.node('Concat', [batch, builder.integers([...strides, channelsOut]), space], { axis: 0 });
  const split = builder.node('Reshape', [phased, apart]);
  const rows = builder.node('Transpose', [split], { perm: [0, 4, 5, 1, 6, 2, 3, 7] });
  const woven = builder.node('Transpose', [rows], { perm: [0, 1, 2, 3, 4, 5, 7, 6] });
  const enlarged = builder.node('Mul', [space, builder.integers(strides)]);
  const whole = builder.node('Concat', [batch, builder.integers([channelsOut]), enlarged], { axis: 0 });
  builder.node('Reshape', [woven, whole], {}, output);
  return true;
}

/** undefined: not a form that is known here. */
function geometryOf({ attributes }: OnnxNode, kernel: readonly number[]): Axis[] | undefined {
  const list = (name: string, fallback: number): readonly number[] | undefined => {
    if (!attributes.has(name)) return new Array(name === 'pads' ? 2 * axes : axes).fill(fallback);
    const value = attributes.get(name);
    return Array.isArray(value) ? value : undefined;
  };
  const pads = list('pads', 0);
  const strides = list('strides', 1);
  const dilations = list('dilations', 1);
  const outputPadding = list('output_padding', 0);
  const autoPad = attributes.get('auto_pad') ?? 'NOTSET';
  if (!pads || !strides || !dilations || !outputPadding || autoPad !== 'NOTSET' || attributes.has('output_shape'))
    return undefined;
  if (pads.length !== 2 * axes || (attributes.get('group') ?? 1) !== 1 || dilations.some((one) => one !== 1))
    return undefined;
  const geometry = kernel.map((size, axis) => {
    const stride = strides[axis] ?? 0;
    const padding = pads[axis] ?? 0;
    const enlargesExactly = size - padding - (pads[axis + axes] ?? 0) + (outputPadding[axis] ?? 0) === stride;
    if (!enlargesExactly || stride < 1) return undefined;
    const first = Math.ceil((1 - stride - padding) / stride);
    const last = Math.floor((size - 1 - padding) / stride);
    return first <= 0 && last >= 0 ? { stride, kernel: size, padding, first, last } : undefined;
  });
  return geometry.every((axis) => axis !== undefined) ? geometry : undefined;
}

/** Compares both forms for one input voxel and one output channel. */
function pays(geometry: readonly Axis[], channelsIn: number): boolean {
  const phases = product(geometry.map(({ stride }) => stride));
  const taps = product(geometry.map(({ kernel }) => kernel));
  const newTaps = phases * product(geometry.map(({ first, last }) => last - first + 1));
  return (newTaps - taps) * channelsIn * cost.multiplyAdd < taps * cost.scatter - phases * cost.move;
}

/** [Cin, Cout, k0, k1, k2] → [r0·r1·r2·Cout, Cin, j0, j1, j2], where j = last − d. */
function subPixelWeights(
  weights: Float32Array,
  channelsIn: number,
  channelsOut: number,
  geometry: readonly Axis[],
): Float32Array {
  const taps = product(geometry.map(({ kernel }) => kernel));
  const size = product(geometry.map(({ first, last }) => last - first + 1));
  const phases = product(geometry.map(({ stride }) => stride));
  const out = new Float32Array(phases * channelsOut * channelsIn * size);
  for (let phase = 0; phase < phases; phase++) {
    for (let place = 0; place < size; place++) {
      const tap = tapOf(phase, place, geometry);
      if (tap === undefined) continue;
      for (let o = 0; o < channelsOut; o++) {
        for (let i = 0; i < channelsIn; i++) {
          const to = ((phase * channelsOut + o) * channelsIn + i) * size + place;
          out[to] = weights[(i * channelsOut + o) * taps + tap] as number;
        }
      }
    }
  }
  return out;
}

/** Flat index of the kernel's tap at a place of the new kernel for a phase; undefined where that is none. */
function tapOf(phase: number, place: number, geometry: readonly Axis[]): number | undefined {
  let phaseRest = phase;
  let placeRest = place;
  let tap = 0;
  let scale = 1;
  for (const { stride, kernel, padding, first, last } of [...geometry].reverse()) {
    const size = last - first + 1;
    const at = (last - (placeRest % size)) * stride + (phaseRest % stride) + padding;
    if (at < 0 || at >= kernel) return undefined;
    tap += at * scale;
    scale *= kernel;
    placeRest = Math.floor(placeRest / size);
    phaseRest = Math.floor(phaseRest / stride);
  }
  return tap;
}

const product = (numbers: readonly number[]): number => numbers.reduce((all, one) => all * one, 1);

function repeat(values: Float32Array, times: number): Float32Array {
  const out = new Float32Array(values.length * times);
  for (let n = 0; n < times; n++) out.set(values, n * values.length);
  return out;
}
