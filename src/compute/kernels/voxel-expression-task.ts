import type { VoxelArray } from '../../imaging/volume.ts';
import type { KernelArray } from './shared-arrays.ts';
import type { Slab } from './slabs.ts';

export type UnaryOperator = '-' | 'abs' | 'exp' | 'sqrt' | 'round';
export type BinaryOperator = '+' | '-' | '*' | '/' | '>' | '>=' | '<' | '<=' | '==' | '!=' | 'minimum' | 'maximum';

/** What a voxel of the result is, from the voxel's values in the channels of an image. Comparisons give 0 and 1. */
export type VoxelExpression =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'channel'; readonly channel: number }
  | { readonly kind: 'unary'; readonly operator: UnaryOperator; readonly operand: VoxelExpression }
  | {
      readonly kind: 'binary';
      readonly operator: BinaryOperator;
      readonly left: VoxelExpression;
      readonly right: VoxelExpression;
    }
  | {
      readonly kind: 'where';
      readonly test: VoxelExpression;
      readonly yes: VoxelExpression;
      readonly no: VoxelExpression;
    }
  | {
      readonly kind: 'replaced';
      readonly operand: VoxelExpression;
      readonly nan: number;
      readonly infinity: number;
      readonly minusInfinity: number;
    };

export interface VoxelExpressionInput extends Slab {
  readonly source: VoxelArray;
  readonly starts: readonly number[];
  readonly target: KernelArray;
  readonly targetStarts: readonly number[];
  /** One for each channel of the target. */
  readonly expressions: readonly VoxelExpression[];
}

/** Voxels that are worked on together: a few buffers of this size stay in the cache. */
const block = 4096;

type Step = (at: number, count: number) => Float32Array;

/** Evaluates the expressions on a slab, each step rounded to float32 as torch does. */
export function voxelExpressionSlab(input: VoxelExpressionInput): void {
  const { target, targetStarts, expressions, from, to } = input;
  const steps = expressions.map((expression) => compile(expression, input));
  for (let at = from; at < to; at += block) {
    const count = Math.min(block, to - at);
    for (const [channel, step] of steps.entries()) {
      store(step(at, count), target, (targetStarts[channel] as number) + at, count);
    }
  }
}

/** A loop where types differ: `set` converts far more slowly. */
function store(values: Float32Array, target: KernelArray, start: number, count: number): void {
  if (target instanceof Float32Array) target.set(values.subarray(0, count), start);
  else for (let i = 0; i < count; i++) target[start + i] = values[i] as number;
}

function compile(expression: VoxelExpression, input: VoxelExpressionInput): Step {
  const out = new Float32Array(block);
  switch (expression.kind) {
    case 'number':
      out.fill(expression.value);
      return () => out;
    case 'channel': {
      const start = input.starts[expression.channel] as number;
      return (at, count) => {
        const { source } = input;
        if (source instanceof Float32Array) return source.subarray(start + at, start + at + count);
        for (let i = 0; i < count; i++) out[i] = source[start + at + i] as number;
        return out;
      };
    }
    case 'unary': {
      const operand = compile(expression.operand, input);
      const apply = unaries[expression.operator];
      return (at, count) => {
        const values = operand(at, count);
        for (let i = 0; i < count; i++) out[i] = apply(values[i] as number);
        return out;
      };
    }
    case 'binary': {
      const [left, right] = [compile(expression.left, input), compile(expression.right, input)];
      const apply = binaries[expression.operator];
      return (at, count) => {
        const [a, b] = [left(at, count), right(at, count)];
        apply(a, b, out, count);
        return out;
      };
    }
    case 'where': {
      const [test, yes, no] = [expression.test, expression.yes, expression.no].map((part) => compile(part, input)) as [
        Step,
        Step,
        Step,
      ];
      return (at, count) => {
        const [t, a, b] = [test(at, count), yes(at, count), no(at, count)];
        for (let i = 0; i < count; i++) out[i] = (t[i] === 0 ? b[i] : a[i]) as number;
        return out;
      };
    }
    case 'replaced': {
      const { nan, infinity, minusInfinity } = expression;
      const operand = compile(expression.operand, input);
      return (at, count) => {
        const values = operand(at, count);
        for (let i = 0; i < count; i++) {
          const value = values[i] as number;
          out[i] = Number.isFinite(value) ? value : Number.isNaN(value) ? nan : value > 0 ? infinity : minusInfinity;
        }
        return out;
      };
    }
  }
}

const unaries: Readonly<Record<UnaryOperator, (value: number) => number>> = {
  '-': (value) => -value,
  abs: Math.abs,
  exp: Math.exp,
  sqrt: Math.sqrt,
  round: (value) => {
    const floor = Math.floor(value);
    const rest = value - floor;
    return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
  },
};

type Loop = (a: Float32Array, b: Float32Array, out: Float32Array, count: number) => void;

// One loop for each operator: a call for each voxel would cost more than the operation.
const binaries: Readonly<Record<BinaryOperator, Loop>> = {
  '+': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] as number) + (b[i] as number);
  },
  '-': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] as number) - (b[i] as number);
  },
  '*': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] as number) * (b[i] as number);
  },
  '/': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] as number) / (b[i] as number);
  },
  '>': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] as number) > (b[i] as number) ? 1 : 0;
  },
  '>=': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] as number) >= (b[i] as number) ? 1 : 0;
  },
  '<': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] as number) < (b[i] as number) ? 1 : 0;
  },
  '<=': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = (a[i] as number) <= (b[i] as number) ? 1 : 0;
  },
  '==': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = a[i] === b[i] ? 1 : 0;
  },
  '!=': (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = a[i] !== b[i] ? 1 : 0;
  },
  minimum: (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = Math.min(a[i] as number, b[i] as number);
  },
  maximum: (a, b, out, count) => {
    for (let i = 0; i < count; i++) out[i] = Math.max(a[i] as number, b[i] as number);
  },
};
