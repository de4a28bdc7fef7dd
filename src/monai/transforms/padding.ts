import type { PadStatistic } from '../../compute/kernels/pad-statistic-task.ts';
import type { Arguments } from '../arguments.ts';

/** What fills the voxels around an image: a value, voxels of the image, or a figure of the line that ends there. */
export type PadFill =
  | { readonly kind: 'constant'; readonly value: number }
  | { readonly kind: 'copied'; readonly from: 'replicate' | 'reflect' | 'circular' | 'symmetric' }
  | { readonly kind: 'statistic'; readonly of: PadStatistic };

export const zeroFill: PadFill = { kind: 'constant', value: 0 };

const modes = [
  'constant',
  'replicate',
  'edge',
  'reflect',
  'circular',
  'wrap',
  'symmetric',
  'minimum',
  'maximum',
  'mean',
] as const;

/** Reads `mode` (torch's and numpy's names) and the value of a constant, for each key. */
export function readPadFills(args: Arguments, count: number): PadFill[] {
  const names = args.perKey(
    'mode',
    count,
    'constant',
    (value) => modes.find((mode) => mode === value),
    modes.join(', '),
  );
  const value = args.number('value', args.number('constant_values', 0));
  return names.map((name): PadFill => {
    switch (name) {
      case 'constant':
        return { kind: 'constant', value };
      case 'minimum':
      case 'maximum':
      case 'mean':
        return { kind: 'statistic', of: name };
      case 'edge':
        return { kind: 'copied', from: 'replicate' };
      case 'wrap':
        return { kind: 'copied', from: 'circular' };
      default:
        return { kind: 'copied', from: name };
    }
  });
}
