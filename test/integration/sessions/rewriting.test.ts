import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rewriteForCpu } from '../../../src/sessions/onnx/rewrite.ts';
import { externalTensor, field, integer, onnxModel } from '../../support/onnx-bytes.ts';
import { never, spleenOnnx, startPool, type TestPool } from '../../support/sessions.ts';

let running: TestPool;
beforeAll(async () => {
  running = await startPool({ workers: 1 });
});
afterAll(() => running.close());

interface Form {
  readonly kernel: readonly number[];
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly outputPadding: readonly number[];
  readonly bias: boolean;
}

const sizes = [3, 4, 2] as const;
const channelsIn = 3;
const channelsOut = 2;
const noise = (length: number, seed: number): Float32Array =>
  Float32Array.from({ length }, (_, n) => Math.sin(n * 12.9898 + seed) % 1);

const tensor = (name: string, dims: readonly number[], data: Float32Array): Buffer =>
  field(
    5,
    Buffer.concat([
      ...dims.map((dim) => integer(1, dim)),
      integer(2, 1),
      field(8, name),
      field(9, Buffer.from(data.buffer)),
    ]),
  );
const integers = (name: string, values: readonly number[]): Buffer =>
  field(5, Buffer.concat([field(1, name), ...values.map((value) => integer(8, value)), integer(20, 7)]));

/** One transposed convolution as a model: x [N, 3, D, H, W] with open axes. */
function modelOf(form: Form, weights: Float32Array, bias: Float32Array): Buffer {
  const attributes = [
    integers('strides', form.strides),
    integers('pads', form.pads),
    integers('output_padding', form.outputPadding),
  ];
  const graph = Buffer.concat([
    tensor('w', [channelsIn, channelsOut, ...form.kernel], weights),
    tensor('b', [channelsOut], bias),
  ]);
  return onnxModel({
    operator: 'ConvTranspose',
    inputs: ['x', 'w', ...(form.bias ? ['b'] : [])],
    attributes,
    dims: ['n', channelsIn, 'd', 'h', 'w'],
    outputDims: ['n', channelsOut, 'd2', 'h2', 'w2'],
    graph,
  });
}

/** By the definition: each input voxel adds its kernel to the output (ONNX operators, ConvTranspose). */
function expected(form: Form, x: Float32Array, weights: Float32Array, bias: Float32Array): Float32Array {
  const { kernel, strides, pads } = form;
  const out = sizes.map((size, axis) => size * (strides[axis] as number));
  const [d, h, w] = out as [number, number, number];
  const sums = new Float64Array(channelsOut * d * h * w);
  const [k0, k1, k2] = kernel as [number, number, number];
  for (let co = 0; co < channelsOut; co++) {
    if (form.bias) sums.fill(bias[co] as number, co * d * h * w, (co + 1) * d * h * w);
    for (let ci = 0; ci < channelsIn; ci++)
      for (let i = 0; i < sizes[0] * sizes[1] * sizes[2]; i++)
        for (let t = 0; t < k0 * k1 * k2; t++) {
          const at = [Math.floor(i / (sizes[1] * sizes[2])), Math.floor(i / sizes[2]) % sizes[1], i % sizes[2]];
          const tap = [Math.floor(t / (k1 * k2)), Math.floor(t / k2) % k1, t % k2];
          const [a, b, c] = at.map(
            (one, axis) => one * (strides[axis] as number) + (tap[axis] as number) - (pads[axis] as number),
          ) as [number, number, number];
          if (a < 0 || b < 0 || c < 0 || a >= d || b >= h || c >= w) continue;
          const value =
            (x[ci * sizes[0] * sizes[1] * sizes[2] + i] as number) *
            (weights[(ci * channelsOut + co) * k0 * k1 * k2 + t] as number);
          sums[((co * d + a) * h + b) * w + c] = (sums[((co * d + a) * h + b) * w + c] as number) + value;
        }
  }
  return Float32Array.from(sums);
}

const forms: [string, Form][] = [
  [
    '3³ by 2, as MONAI’s UNet has it',
    { kernel: [3, 3, 3], strides: [2, 2, 2], pads: [1, 1, 1, 1, 1, 1], outputPadding: [1, 1, 1], bias: true },
  ],
  [
    '2³ by 2, as UNETR has it',
    { kernel: [2, 2, 2], strides: [2, 2, 2], pads: [0, 0, 0, 0, 0, 0], outputPadding: [0, 0, 0], bias: false },
  ],
  [
    'each axis by itself',
    { kernel: [3, 4, 5], strides: [1, 2, 3], pads: [1, 1, 1, 1, 1, 1], outputPadding: [0, 0, 0], bias: true },
  ],
  [
    'padded on one side',
    { kernel: [3, 3, 3], strides: [2, 2, 2], pads: [0, 1, 0, 1, 0, 1], outputPadding: [0, 0, 0], bias: true },
  ],
];

describe('PReLU of one slope, rewritten', () => {
  const modelWith = (slope: readonly number[]) =>
    onnxModel({
      operator: 'PRelu',
      inputs: ['x', 'slope'],
      dims: ['n', slope.length, 'd'],
      graph: tensor('slope', [slope.length, 1], Float32Array.from(slope)),
    });

  it('gives the same bits', async () => {
    const x = Float32Array.of(-3.7, -1e-38, -0, 0, 0.1, 2.5, Number.NEGATIVE_INFINITY, Number.NaN);
    const answers: Record<string, Float32Array> = {};
    const model = modelWith([0.2347]);
    const forms = { asItIs: model, rewritten: rewriteForCpu(model) as Uint8Array };
    for (const [name, bytes] of Object.entries(forms)) {
      const session = await InferenceSession.create(bytes);
      const { y } = await session.run({ x: new Tensor('float32', x, [1, 1, 8]) });
      answers[name] = y?.data as Float32Array;
    }
    expect(answers.rewritten).toEqual(answers.asItIs);
    expect(answers.rewritten?.[0]).toBe(Math.fround(Math.fround(-3.7) * Math.fround(0.2347)));
  });

  it('leaves one slope a channel alone', () => {
    expect(rewriteForCpu(modelWith([0.1, 0.2]))).toBeUndefined();
  });
});

describe('transposed convolutions, rewritten', () => {
  it.each(forms)('give what their definition says: %s', async (name, form) => {
    const voxels = sizes[0] * sizes[1] * sizes[2];
    const taps = form.kernel.reduce((all, one) => all * one, 1);
    const [x, weights, bias] = [
      noise(channelsIn * voxels, 1),
      noise(channelsIn * channelsOut * taps, 2),
      noise(channelsOut, 3),
    ];
    const rewritten = rewriteForCpu(modelOf(form, weights, bias));
    expect(rewritten).toBeDefined();
    const path = join(running.dataDir, 'model.onnx');
    writeFileSync(path, rewritten as Uint8Array);
    const { signature } = await running.pool.load(name, path, never);
    const network = running.networks.networkOf(name, signature, 1);
    const { y } = await network.run({ x: { type: 'float32', dims: [1, channelsIn, ...sizes], data: x } });
    expect(y?.dims).toEqual([1, channelsOut, ...sizes.map((size, axis) => size * (form.strides[axis] as number))]);
    const truth = expected(form, x, weights, bias);
    const given = Array.from(y?.data as Float32Array);
    expect(given).toHaveLength(truth.length);
    expect(Math.max(...given.map((value, n) => Math.abs(value - (truth[n] as number))))).toBeLessThan(1e-5);
  });

  it('are found in a real network', () => {
    const model = readFileSync(spleenOnnx);
    const rewritten = rewriteForCpu(model);
    expect(rewritten?.length).toBeGreaterThan(model.length);
  });

  it('leaves alone what it does not know: other forms, other ranks, weights in other files, damage', () => {
    const [, form] = forms[0] as [string, Form];
    const weights = noise(channelsIn * channelsOut * 27, 2);
    const bias = noise(channelsOut, 3);
    const shrunk = modelOf({ ...form, outputPadding: [0, 0, 0] }, weights, bias);
    expect(rewriteForCpu(shrunk)).toBeUndefined();
    const external = onnxModel({ operator: 'ConvTranspose', inputs: ['x', 'w'], graph: field(5, externalTensor([])) });
    expect(rewriteForCpu(external)).toBeUndefined();
    expect(rewriteForCpu(onnxModel())).toBeUndefined();
    const whole = modelOf(form, weights, bias);
    for (const length of [0, 1, 20, whole.length - 5]) {
      expect(rewriteForCpu(whole.subarray(0, length))).toBeUndefined();
    }
    expect(rewriteForCpu(Buffer.alloc(50, 0xff))).toBeUndefined();
  });
});
