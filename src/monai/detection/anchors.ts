import type { Arguments } from '../arguments.ts';
import { type ConfigValue, isList } from '../bundle/config-value.ts';
import { monaiClassName } from '../transforms/registry.ts';

const f = Math.fround;

/** Anchor boxes of a detector: for each level of its outputs, boxes around the origin that are put at every place. */
export interface AnchorGenerator {
  /** Of each level, its anchors: the half extents of each along the three axes, in voxels. */
  readonly levels: readonly (readonly (readonly [number, number, number])[])[];
  /** Axis whose place shifts each axis of the box: 0, 1, 2, or with the first two exchanged (`indexing: xy`). */
  readonly shiftedBy: readonly [number, number, number];
}

/** More levels or anchors at a place than any detector has. */
const most = 64;

/**
 * MONAI's `AnchorGeneratorWithAnchorShape` and `AnchorGenerator`, for images of three axes.
 *
 * @throws EndpointError `unsupported_bundle`
 */
export function readAnchorGenerator(args: Arguments): AnchorGenerator {
  const indexing = args.choice('indexing', ['ij', 'xy'], 'ij');
  const levels = levelsOf(args);
  args.finish();
  return { levels, shiftedBy: indexing === 'xy' ? [1, 0, 2] : [0, 1, 2] };
}

function levelsOf(args: Arguments): AnchorGenerator['levels'] {
  switch (monaiClassName(args.component.target)) {
    case 'AnchorGeneratorWithAnchorShape': {
      const scales = numbersOf(args.raw('feature_map_scales') ?? [1, 2, 4, 8]);
      const shapes = rowsOf(args.raw('base_anchor_shapes') ?? defaultShapes, 3);
      if (!scales) throw args.refuse("'feature_map_scales' must be a list of positive numbers");
      if (!shapes) throw args.refuse("'base_anchor_shapes' must be a list of three positive numbers each");
      return scales.map((scale) => shapes.map((shape) => halves(shape.map((size) => f(f(scale) * f(size))))));
    }
    case 'AnchorGenerator': {
      const sizes = sizesOf(args.raw('sizes') ?? [[20, 30, 40]]);
      if (!sizes) throw args.refuse("'sizes' must be a list of positive numbers, or of lists of them");
      const ratios = ratiosOf(args.raw('aspect_ratios') ?? [defaultRatios], sizes.length);
      if (!ratios) throw args.refuse("'aspect_ratios' must have, for each level, a list of two positive numbers each");
      return sizes.map((level, n) => anchorsOf(level, ratios[n] as readonly number[][]));
    }
    default:
      throw args.refuse(
        'this anchor generator is not supported; AnchorGeneratorWithAnchorShape and AnchorGenerator are',
      );
  }
}

const defaultShapes = [
  [32, 32, 32],
  [48, 20, 20],
  [20, 48, 20],
  [20, 20, 48],
];
const defaultRatios = [
  [0.5, 1],
  [1, 0.5],
];

/** Every ratio with every size; the ratios outermost, as MONAI lays them out. */
function anchorsOf(sizes: readonly number[], ratios: readonly number[][]): (readonly [number, number, number])[] {
  return ratios.flatMap(([h = 1, d = 1]) => {
    const scale = f(f(f(h) * f(d)) ** (1 / 3));
    const parts = [f(1 / scale), f(f(h) / scale), f(f(d) / scale)];
    return sizes.map((size) => halves(parts.map((part) => f(part * f(size)))));
  });
}

const halves = (sizes: readonly number[]): [number, number, number] =>
  sizes.map((size) => halfToEven(f(size / 2))) as [number, number, number];

/** torch rounds halves to the even number. */
export function halfToEven(value: number): number {
  const low = Math.floor(value);
  if (value - low !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

function numbersOf(value: ConfigValue): number[] | undefined {
  if (!isList(value) || value.length === 0 || value.length > most) return undefined;
  return value.every((item): item is number => typeof item === 'number' && item > 0 && Number.isFinite(item))
    ? [...value]
    : undefined;
}

function rowsOf(value: ConfigValue, length: number): number[][] | undefined {
  if (!isList(value) || value.length === 0 || value.length > most) return undefined;
  const rows = value.map(numbersOf);
  return rows.every((row): row is number[] => row?.length === length) ? rows : undefined;
}

function sizesOf(value: ConfigValue): number[][] | undefined {
  const flat = numbersOf(value);
  if (flat) return flat.map((size) => [size]);
  if (!isList(value) || value.length === 0 || value.length > most) return undefined;
  const levels = value.map(numbersOf);
  return levels.every((level) => level !== undefined) ? levels : undefined;
}

function ratiosOf(value: ConfigValue, levels: number): number[][][] | undefined {
  if (!isList(value)) return undefined;
  const each = value.map((level) => rowsOf(level, 2));
  return each.length === levels && each.every((level) => level !== undefined) ? each : undefined;
}
