import { describe, expect, it } from 'vitest';
import { roundHalfToEven, sampleAxis } from '../../../src/compute/kernels/axis-samples.ts';
import { resampleConfidentArgmax } from '../../../src/compute/kernels/confident-argmax.ts';
import { percentiles } from '../../../src/compute/kernels/order-statistics.ts';
import { rearrange } from '../../../src/compute/kernels/rearrange.ts';
import { resampleArgmax, resampleSeparable } from '../../../src/compute/kernels/resample.ts';
import { resampleOblique } from '../../../src/compute/kernels/resample-oblique.ts';
import { sharedImage } from '../../../src/compute/kernels/shared-arrays.ts';
import { cutSlabs } from '../../../src/compute/kernels/slabs.ts';
import { argmaxInto, onlyNumbers, softmaxInPlace } from '../../../src/compute/kernels/voxelwise.ts';
import { accumulate, divide, gather } from '../../../src/compute/kernels/windows.ts';
import { InThreadPool } from '../../../src/compute/pool.ts';
import type { Affine } from '../../../src/imaging/affine.ts';
import { reoriented, type StridedImage, xFastest, zFastest } from '../../../src/imaging/strided-image.ts';
import type { Shape3 } from '../../../src/imaging/volume.ts';

const pool = new InThreadPool();

/** Numbers between −1 and 1 that look random and are the same each time. */
function noise(length: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

function noisy(channels: number, shape: Shape3, order = xFastest): StridedImage<Float32Array> {
  const image = sharedImage('float32', channels, shape, order);
  image.data.set(noise(image.data.length));
  return image;
}

const at = ({ data, offset, strides, channelStride }: StridedImage, i: number, j: number, k: number, c = 0): number =>
  data[offset + c * channelStride + i * strides[0] + j * strides[1] + k * strides[2]] as number;

const border = { interpolation: 'bilinear', edge: 'border', alignCorners: false } as const;

describe('sampleAxis', () => {
  it('reads an identity where it stands', () => {
    const { index0, weight0, weight1 } = sampleAxis({ scale: 1, shift: 0, inputSize: 5, outputSize: 5 }, border);
    for (let n = 0; n < 5; n++) {
      const position = (index0[n] as number) + (weight1[n] as number);
      expect(position).toBeCloseTo(n, 12);
      expect((weight0[n] as number) + (weight1[n] as number)).toBeCloseTo(1, 12);
    }
  });

  it('keeps to the edge, mirrors or fades beyond it', () => {
    const map = { scale: 1, shift: 3.5, inputSize: 5, outputSize: 5 };
    expect([...sampleAxis(map, border).index0]).toEqual([3, 4, 4, 4, 4]);
    const zeros = sampleAxis(map, { ...border, edge: 'zeros' });
    expect((zeros.weight0[1] as number) + (zeros.weight1[1] as number)).toBeCloseTo(0.5, 12);
    expect((zeros.weight0[3] as number) + (zeros.weight1[3] as number)).toBe(0);
    const mirrored = sampleAxis({ ...map, shift: 5 }, { ...border, edge: 'reflection' });
    expect([...mirrored.index0].map((low, n) => low + (mirrored.weight1[n] as number)).map(Math.round)).toEqual([
      4, 3, 2, 1, 0,
    ]);
  });

  it('rounds halves to even', () => {
    expect([-1.5, -0.5, 0.5, 1.5, 2.5, 2.4, 2.6].map(roundHalfToEven)).toEqual([-2, 0, 0, 2, 2, 2, 3]);
  });
});

describe('resampling', () => {
  const shape = [9, 7, 6] as const;
  const outShape = [13, 5, 8] as const;
  const maps = [
    { scale: 0.61, shift: 0.3 },
    { scale: 1.4, shift: -0.2 },
    { scale: 0.9, shift: -0.6 },
  ] as const;
  const toSource: Affine = [0.61, 0, 0, 0.3, 0, 1.4, 0, -0.2, 0, 0, 0.9, -0.6, 0, 0, 0, 1];
  const samplesOf = (modes: Parameters<typeof sampleAxis>[1]) =>
    ([0, 1, 2] as const).map((axis) =>
      sampleAxis({ ...maps[axis], inputSize: shape[axis], outputSize: outShape[axis] }, modes),
    ) as [ReturnType<typeof sampleAxis>, ReturnType<typeof sampleAxis>, ReturnType<typeof sampleAxis>];

  it.each(['bilinear', 'nearest'] as const)(
    '%s: separable and general kernel agree in every order',
    async (interpolation) => {
      for (const edge of ['border', 'zeros', 'reflection'] as const) {
        const modes = { interpolation, edge, alignCorners: false };
        for (const from of [xFastest, zFastest]) {
          for (const to of [xFastest, zFastest]) {
            const source = noisy(2, shape, from);
            const separable = sharedImage('float32', 2, outShape, to);
            const general = sharedImage('float32', 2, outShape, to);
            await resampleSeparable(source, separable, samplesOf(modes), pool);
            await resampleOblique(source, general, { toSource, modes }, pool);
            for (const [n, value] of separable.data.entries()) expect(value).toBeCloseTo(general.data[n] as number, 6);
          }
        }
      }
    },
  );

  it('sums to zero, or not, as torch does, where transforms of nonzero voxels would see it', async () => {
    // A ramp through zero: sums that cancel, whose noise depends on the order of the summands.
    const source = sharedImage('float32', 1, [6, 6, 6], zFastest);
    for (let i = 0; i < 6; i++)
      for (let j = 0; j < 6; j++)
        for (let k = 0; k < 6; k++)
          source.data[i * source.strides[0] + j * source.strides[1] + k * source.strides[2]] = 3 * i - 3 * j;
    const samples = [0, 1, 2].map(() =>
      sampleAxis({ scale: 0.35, shift: 0.1, inputSize: 6, outputSize: 12 }, border),
    ) as unknown as Parameters<typeof resampleSeparable>[2];
    const target = sharedImage('float32', 1, [12, 12, 12], zFastest);
    await resampleSeparable(source, target, samples, pool);
    let nearZero = 0;
    for (let i = 0; i < 12; i++)
      for (let j = 0; j < 12; j++)
        for (let k = 0; k < 12; k++) {
          let sum = 0;
          // grid_sampler_3d: the last axis varies fastest, in the corners and in the product of the weights.
          for (const a of ['0', '1'] as const)
            for (const b of ['0', '1'] as const)
              for (const c of ['0', '1'] as const) {
                const weight =
                  (samples[2][`weight${c}`][k] as number) *
                  (samples[1][`weight${b}`][j] as number) *
                  (samples[0][`weight${a}`][i] as number);
                const [x, y, z] = [samples[0][`index${a}`][i], samples[1][`index${b}`][j], samples[2][`index${c}`][k]];
                sum += at(source, x as number, y as number, z as number) * weight;
              }
          if (Math.abs(sum) > 1e-6) continue;
          nearZero += 1;
          expect(at(target, i, j, k)).toBe(Math.fround(sum));
        }
    expect(nearZero).toBeGreaterThan(10);
  });

  it('resampling with argmax equals resampling and then argmax', async () => {
    for (const channels of [2, 3, 5]) {
      for (const to of [xFastest, zFastest]) {
        const source = noisy(channels, shape, zFastest);
        const values = sharedImage('float32', channels, outShape, to);
        await resampleSeparable(source, values, samplesOf(border), pool);
        const expected = sharedImage('uint8', 1, outShape, to);
        await argmaxInto(values, expected, false, pool);
        const labels = sharedImage('uint8', 1, outShape, to);
        await resampleArgmax(source, labels, samplesOf(border), pool);
        expect(labels.data).toEqual(expected.data);
      }
    }
  });

  it('interpolating only at the borders of labels gives the same labels', async () => {
    const from: Shape3 = [24, 20, 22];
    const to: Shape3 = [31, 17, 40];
    for (const channels of [2, 4]) {
      for (const edge of ['border', 'reflection', 'zeros'] as const) {
        const source = sharedImage('float32', channels, from, zFastest);
        for (let c = 0; c < channels; c++)
          for (let i = 0; i < 24; i++)
            for (let j = 0; j < 20; j++)
              for (let k = 0; k < 22; k++)
                source.data[c * source.channelStride + (i * 20 + j) * 22 + k] = Math.tanh(
                  9 - 0.9 * Math.hypot(i - 7 * c, j - 5 * c, k - 6 * c),
                );
        const samples = ([0, 1, 2] as const).map((axis) => {
          const scale = from[axis] / to[axis];
          const map = { scale, shift: axis - 0.8, inputSize: from[axis], outputSize: to[axis] };
          return sampleAxis(map, { ...border, edge });
        }) as unknown as Parameters<typeof resampleArgmax>[2];
        for (const order of [xFastest, zFastest]) {
          const expected = sharedImage('uint8', 1, to, order);
          const labels = sharedImage('uint8', 1, to, order);
          await resampleArgmax(source, expected, samples, pool);
          await resampleConfidentArgmax(source, labels, samples, pool);
          expect(new Set(expected.data).size).toBe(channels);
          expect(labels.data).toEqual(expected.data);
        }
      }
    }
  });

  it('flipped and permuted views give flipped and permuted results', async () => {
    const image = noisy(1, shape);
    const view = reoriented(image, [
      { axis: 2, flip: true },
      { axis: 0, flip: false },
      { axis: 1, flip: true },
    ]);
    const copy = sharedImage('float32', 1, view.shape, zFastest);
    await rearrange(view, copy, pool);
    for (let i = 0; i < 6; i++)
      for (let j = 0; j < 9; j++)
        for (let k = 0; k < 7; k++) expect(at(copy, i, j, k)).toBe(at(image, j, 6 - k, 5 - i));
  });
});

describe('voxel-wise kernels', () => {
  it('softmax sums to one, and its argmax is that of the logits', async () => {
    for (const channels of [2, 4]) {
      const logits = noisy(channels, [5, 4, 3]);
      logits.data.forEach((value, n) => {
        logits.data[n] = value * (n % 7 === 0 ? 200 : 3);
      });
      const direct = sharedImage('uint8', 1, [5, 4, 3], xFastest);
      await argmaxInto(logits, direct, true, pool);
      await softmaxInPlace(logits, pool);
      const after = sharedImage('uint8', 1, [5, 4, 3], xFastest);
      await argmaxInto(logits, after, false, pool);
      expect(direct.data).toEqual(after.data);
      for (let n = 0; n < 60; n++) {
        const sum = Array.from({ length: channels }, (_, c) => logits.data[c * 60 + n] as number).reduce(
          (a, b) => a + b,
        );
        expect(sum).toBeCloseTo(1, 6);
      }
    }
  });

  it('equal after the softmax’s rounding means the first channel', async () => {
    const logits = sharedImage('float32', 2, [1, 1, 2], xFastest);
    logits.data.set([1, 1, 1 + 2 ** -23, 1 + 2 ** -10]);
    const labels = sharedImage('uint8', 1, [1, 1, 2], xFastest);
    await argmaxInto(logits, labels, true, pool);
    await softmaxInPlace(logits, pool);
    const [a0, a1, b0, b1] = logits.data as unknown as [number, number, number, number];
    expect([...labels.data]).toEqual([b0 > a0 ? 1 : 0, b1 > a1 ? 1 : 0]);
  });

  it('finds what is not a number', async () => {
    const image = noisy(2, [4, 4, 4]);
    expect(await onlyNumbers(image, pool)).toBe(true);
    image.data[100] = Number.NaN;
    expect(await onlyNumbers(image, pool)).toBe(false);
  });

  it('percentiles are those of the sorted values', async () => {
    const image = noisy(2, [7, 5, 3]);
    image.data[0] = -0;
    const sorted = image.data.slice().sort();
    for (const percent of [0, 2, 33.3, 50, 98, 100]) {
      const position = (percent / 100) * (sorted.length - 1);
      const [low, high] = [sorted[Math.floor(position)] as number, sorted[Math.ceil(position)] as number];
      const [value] = await percentiles(image, [0, 1], [percent], pool);
      expect(value).toBeCloseTo(low + (high - low) * (position % 1), 6);
    }
  });
});

describe('windows', () => {
  it('gathers z fastest, adds in place and divides by the coverage', async () => {
    const image = noisy(2, [5, 4, 6], zFastest);
    const size = [3, 2, 4] as const;
    const target = new Float32Array(new SharedArrayBuffer(2 * 24 * 4));
    await gather({ image, start: [1, 2, 0], size, target }, pool);
    expect(target[24 + (2 * 2 + 1) * 4 + 3]).toBe(at(image, 3, 3, 3, 1));
    const sums = sharedImage('float32', 2, [5, 4, 6], zFastest);
    for (const values of [target, target.slice()])
      await accumulate({ sums, values, weights: undefined, start: [1, 2, 0], size }, pool);
    const twice = [0, 2, 2, 2, 0].map(() => 1);
    const coverage = [
      Float32Array.from(twice),
      Float32Array.from({ length: 4 }, () => 2),
      Float32Array.from({ length: 6 }, () => 1),
    ];
    expect(await divide({ sums, coverage: coverage as [Float32Array, Float32Array, Float32Array] }, pool)).toBe(true);
    expect(at(sums, 3, 3, 3, 1)).toBe(at(image, 3, 3, 3, 1));
    expect(at(sums, 0, 0, 0)).toBe(0);
    sums.data[7] = Number.NaN;
    expect(await divide({ sums, weightSums: new Float32Array(120).fill(1) }, pool)).toBe(false);
  });
});

it('slabs cover everything once', () => {
  for (const [length, parts] of [
    [10, 3],
    [2, 4],
    [0, 2],
    [7, 7],
  ] as const) {
    const slabs = cutSlabs(length, parts);
    expect(slabs[0]?.from).toBe(0);
    expect(slabs.at(-1)?.to).toBe(length);
    for (let n = 1; n < slabs.length; n++) expect(slabs[n]?.from).toBe(slabs[n - 1]?.to);
  }
});
