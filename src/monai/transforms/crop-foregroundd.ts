import { selectedExtent } from '../../compute/kernels/bounding-box.ts';
import type { Selection } from '../../compute/kernels/bounding-box-task.ts';
import { EndpointError } from '../../errors.ts';
import type { Arguments } from '../arguments.ts';
import { isList } from '../bundle/config-value.ts';
import { imageOf } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { channelsOf } from './each-image.ts';
import { divisibleSize } from './padd.ts';
import type { PadFill } from './padding.ts';
import { readPadFills } from './padding.ts';
import { forAxes, type PerAxis, readPerAxis, type Triple } from './per-axis.ts';
import { type Box, regridded } from './regrid.ts';
import type { TransformDefinition } from './transform.ts';
import { voxelFunction } from './voxel-function.ts';

interface Foreground {
  readonly selection: Selection;
  readonly channels: readonly number[] | undefined;
  readonly margin: PerAxis;
  readonly allowSmaller: boolean;
  readonly divisor: PerAxis;
}

/** MONAI `CropForegroundd`: the box around the voxels of `source_key` that are above zero. */
export const cropForegroundd: TransformDefinition = {
  target: 'CropForegroundd',
  compile(args) {
    const keys = args.keys();
    const source = args.text('source_key', keys[0] as string);
    const foreground: Foreground = {
      selection: readSelection(args),
      channels: readChannels(args),
      margin: readPerAxis(args, 'margin', true, 0),
      allowSmaller: args.boolean('allow_smaller', false),
      divisor: readPerAxis(args, 'k_divisible', true, 1),
    };
    const fills = readPadFills(args, keys.length);
    args.only('lazy', false, null);
    args.only('return_coords', false);
    args.accept('start_coord_key', 'end_coord_key', 'allow_missing_keys');
    args.finish();
    return {
      component: args.component,
      keys: [...keys, source],
      async apply(data, context) {
        const box = await foregroundBox(imageOf(data, source), foreground, context);
        for (const [n, key] of keys.entries())
          data.set(key, await regridded(imageOf(data, key), box, fills[n] as PadFill, args.component, context));
      },
    };
  },
};

/** MONAI `generate_spatial_bounding_box`, made divisible by `k_divisible`. */
async function foregroundBox(image: MetaImage, foreground: Foreground, { pool, signal }: RunContext): Promise<Box> {
  const { shape } = image.voxels;
  const margin = forAxes(foreground.margin, image, 0);
  const channels = foreground.channels ?? channelsOf(image);
  const unknown = channels.find((channel) => channel >= image.voxels.channels);
  if (unknown !== undefined)
    throw new EndpointError('unprocessable_image', `The image has no channel ${unknown} to find its foreground in.`);
  const extent = await selectedExtent(image.voxels, channels, foreground.selection, pool, signal);
  if (!extent) throw new EndpointError('unprocessable_image', 'The image has no foreground to be cropped to.');
  const edges = shape.map((size, axis) => {
    const from = (extent.first[axis] as number) - (margin[axis] as number);
    const to = (extent.last[axis] as number) + (margin[axis] as number) + 1;
    return foreground.allowSmaller ? [Math.max(from, 0), Math.min(to, size)] : [from, to];
  }) as [number, number][];
  const sizes = edges.map(([from, to]) => to - from);
  const divisible = divisibleSize(sizes, foreground.divisor, image);
  const start = edges.map(
    ([from], axis) => from - Math.floor(((divisible[axis] as number) - (sizes[axis] as number)) / 2),
  );
  return { start: start as unknown as Triple, shape: divisible };
}

function readChannels(args: Arguments): readonly number[] | undefined {
  const value = args.raw('channel_indices');
  if (value === undefined || value === null) return undefined;
  const list = isList(value) ? value : [value];
  if (list.every((item): item is number => Number.isInteger(item) && (item as number) >= 0)) return list;
  throw args.refuse("'channel_indices' must be a channel number or a list of them");
}

/** `select_fn`: a lambda that compares each voxel with a number; by default those above zero. */
function readSelection(args: Arguments): Selection {
  const value = args.raw('select_fn');
  if (value === undefined) return { comparison: '>', value: 0 };
  const body = voxelFunction(value)?.body;
  const [first] = body?.kind === 'comparison' ? body.rest : [];
  if (body?.kind === 'comparison' && first && body.rest.length === 1 && body.first.kind === 'name') {
    const [comparison, limit] = first;
    const number = limit.kind === 'unary' && limit.operator === '-' ? limit.operand : limit;
    const isKnown = (name: string): name is Selection['comparison'] =>
      ['>', '>=', '<', '<=', '!=', '=='].includes(name);
    if (isKnown(comparison) && number.kind === 'literal' && typeof number.value === 'number')
      return { comparison, value: number === limit ? number.value : -number.value };
  }
  throw args.refuse("'select_fn' must compare voxels with a number (lambda x: x > 0)");
}
