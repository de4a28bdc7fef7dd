import { describe, expect, it } from 'vitest';
import type { NetworkSignature, Tensor, TensorType } from '../../../src/imaging/tensor.ts';
import { checkTrialOutputs, trialElements, trialInputs, trialShapes } from '../../../src/sessions/trial.ts';

const taking = (dims: readonly (number | string)[], type: TensorType = 'float32'): NetworkSignature => ({
  inputs: [{ name: 'x', type, dims }],
  outputs: [{ name: 'y', type, dims }],
});

describe('trialShapes', () => {
  it.each([
    ['a declared shape', [4], undefined, [4]],
    ['an open batch', ['batch', 3, 224, 224], undefined, [1, 3, 224, 224]],
    ['a batch that is no symbol', [-1, 3, 8], undefined, [1, 3, 8]],
    ['open spatial axes and a window', ['n', 1, 'x', 'y', 'z'], [96, 64, 32], [1, 1, 96, 64, 32]],
    ['a declared shape before the window', ['n', 1, 16, 'y', 16], [96, 64, 32], [1, 1, 16, 64, 16]],
    ['open spatial axes and no window', ['n', 1, 'x', 'y', 'z'], undefined, undefined],
    ['open channels', ['n', 'c', 'x', 'y', 'z'], [8, 8, 8], undefined],
    ['a window with fewer axes', ['n', 1, 'x', 'y', 'z'], [8, 8], undefined],
    ['a vector of any length', ['n'], undefined, undefined],
  ])('takes %s', (_what, dims, window, expected) => {
    const shapes = trialShapes(taking(dims as (number | string)[]), window as number[] | undefined);
    expect(shapes?.x).toEqual(expected);
  });

  it('counts the elements of all inputs', () => {
    expect(trialElements({ a: [1, 2, 3], b: [4] })).toBe(10);
  });
});

describe('trialInputs', () => {
  it.each([
    'float32',
    'float64',
    'float16',
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'bool',
  ] as const)('makes %s of the right length, the same each time', (type) => {
    const make = () => trialInputs(taking([2, 3], type), { x: [2, 3] }).x as Tensor;
    expect([make().type, make().dims, make().data.length]).toEqual([type, [2, 3], 6]);
    expect(make().data).toEqual(make().data);
  });

  it('is not flat where it is a float: a network may divide by the spread', () => {
    const { data } = trialInputs(taking([100]), { x: [100] }).x as Tensor;
    expect(new Set(data as Float32Array).size).toBe(100);
  });
});

describe('checkTrialOutputs', () => {
  const { outputs } = taking([2]);
  const answer = (data: Tensor['data'], type: TensorType = 'float32') => ({ y: { type, dims: [data.length], data } });

  it('takes numbers, infinite ones too', () => {
    expect(() => checkTrialOutputs(outputs, answer(Float32Array.of(1, Number.POSITIVE_INFINITY)))).not.toThrow();
    expect(() =>
      checkTrialOutputs(taking([2], 'float16').outputs, answer(Uint16Array.of(0x7c00), 'float16')),
    ).not.toThrow();
  });

  it.each([
    ['no output', {}, 'no output'],
    ['another type', answer(Int32Array.of(1), 'int32'), 'declares float32'],
    ['nothing in it', answer(new Float32Array(0)), 'empty'],
    ['NaN', answer(Float32Array.of(1, Number.NaN)), 'NaN'],
  ])('refuses %s', (_what, given, message) => {
    expect(() => checkTrialOutputs(outputs, given)).toThrow(message);
    expect(() => checkTrialOutputs(outputs, given)).toThrow('WARM_UP=false');
  });

  it('knows the NaN of float16', () => {
    const half = taking([1], 'float16').outputs;
    expect(() => checkTrialOutputs(half, answer(Uint16Array.of(0x7e00), 'float16'))).toThrow('NaN');
  });
});
