import type { Arguments } from '../arguments.ts';
import { type ConfigValue, isList, MethodCall } from '../bundle/config-value.ts';
import { readSlidingWindowOptions, type SlidingWindowOptions } from '../inferers/sliding-window-options.ts';
import { monaiClassName } from '../transforms/registry.ts';
import { type AnchorGenerator, readAnchorGenerator } from './anchors.ts';
import type { BoxSelection } from './box-selection.ts';
import type { DetectionKeys } from './detections.ts';

/** A MONAI `RetinaNetDetector` as it is set up for inference. */
export interface DetectorOptions {
  readonly classes: number;
  /** Sizes that the image is filled up to multiples of, at its end. */
  readonly sizeDivisible: readonly [number, number, number];
  readonly anchors: AnchorGenerator;
  readonly keys: DetectionKeys;
  readonly weights: readonly number[];
  readonly selection: BoxSelection;
  /** Absent: the image is always run whole. */
  readonly windows: SlidingWindowOptions | undefined;
}

/**
 * Reads the detector, and the calls that set it up (`detector_ops` of the bundle).
 *
 * @param calls - what the bundle's evaluator requires
 * @throws EndpointError `unsupported_bundle`
 */
export function readDetector(args: Arguments, calls: ConfigValue): DetectorOptions {
  if (monaiClassName(args.component.target) !== 'RetinaNetDetector')
    throw args.refuse('this detector is not supported; RetinaNetDetector is');
  args.only('box_overlap_metric');
  args.accept('debug', 'cls_key', 'box_reg_key');
  const anchors = readAnchorGenerator(args.nested('anchor_generator'));
  const own = readTraits(args, undefined);
  args.accept('network');
  args.finish();
  const network = isRetinaNet(args) ? args.nested('network') : undefined;
  // What the network says of itself goes before what the detector says of it.
  const traits = network ? readTraits(network, own) : own;
  if (traits.dims !== 3)
    throw args.refuse(`a detector of ${traits.dims ?? 'unknown'} axes is not supported; of three is`);
  const { classes } = traits;
  if (classes === undefined) throw args.refuse("'num_classes' is missing");
  const perPlace = (anchors.levels[0] as readonly unknown[]).length;
  if (traits.anchors !== undefined && traits.anchors !== perPlace)
    throw args.refuse(`the network has ${traits.anchors} anchors at a place, the anchor generator ${perPlace}`);
  if (anchors.levels.some((level) => level.length !== perPlace))
    throw args.refuse('the levels must have the same number of anchors at a place');
  const sizeDivisible = traits.divisible ?? [1, 1, 1];
  return { classes, sizeDivisible, anchors, ...readCalls(args, calls) };
}

/** What both a detector and its network tell. */
interface Traits {
  readonly dims: number | undefined;
  readonly classes: number | undefined;
  readonly anchors: number | undefined;
  readonly divisible: readonly [number, number, number] | undefined;
}

/** Only MONAI's own network is known by its arguments; of another the detector must say all. */
function isRetinaNet(args: Arguments): boolean {
  return monaiClassName(args.componentArgument('network').target) === 'RetinaNet';
}

function readTraits(args: Arguments, fallback: Traits | undefined): Traits {
  const whole = (name: string, most: number): number | undefined => {
    const value = args.raw(name);
    if (value === undefined || value === null) return undefined;
    if (Number.isInteger(value) && (value as number) > 0 && (value as number) <= most) return value as number;
    throw args.refuse(`'${name}' must be a whole number from 1 to ${most}`);
  };
  const isGiven = args.component.argumentNames.includes('size_divisible');
  const divisible = isGiven ? args.numbers('size_divisible', 3) : undefined;
  if (divisible?.some((size) => !Number.isInteger(size) || size < 1 || size > 4096))
    throw args.refuse("'size_divisible' must be a positive whole number, or three");
  return {
    dims: whole('spatial_dims', 3) ?? fallback?.dims,
    classes: whole('num_classes', 1024) ?? fallback?.classes,
    anchors: fallback ? whole('num_anchors', 64) : undefined,
    // RetinaNet's own default is 1, whatever the detector says.
    divisible: (divisible as Traits['divisible']) ?? (fallback ? [1, 1, 1] : undefined),
  };
}

type Calls = Pick<DetectorOptions, 'keys' | 'weights' | 'selection' | 'windows'>;

/** MONAI's defaults, and what the calls change. */
function readCalls(args: Arguments, calls: ConfigValue): Calls {
  let result: Calls = {
    keys: { box: 'boxes', label: 'labels', score: 'labels_scores' },
    weights: [1, 1, 1, 1, 1, 1],
    selection: { applySigmoid: true, scoreThreshold: 0.05, perLevel: 1000, nmsThreshold: 0.5, perImage: 300 },
    windows: undefined,
  };
  for (const call of isList(calls) ? calls : [calls]) {
    if (!(call instanceof MethodCall) || call.of !== args.component)
      throw args.refuse("'_requires_' of the evaluator must be calls of the detector's methods");
    result = { ...result, ...readCall(args, call) };
  }
  return result;
}

function readCall(args: Arguments, call: MethodCall): Partial<Calls> {
  switch (call.name) {
    case 'set_target_keys': {
      const given = args.ofCall(call, ['box_key', 'label_key']);
      const keys = { box: given.text('box_key'), label: given.text('label_key') };
      given.finish();
      return { keys: { ...keys, score: `${keys.label}_scores` } };
    }
    case 'set_box_coder_weights': {
      const given = args.ofCall(call, ['weights']);
      const weights = given.numbers('weights', 6);
      given.finish();
      if (!weights.every((weight) => weight > 0)) throw given.refuse("'weights' must be positive");
      return { weights };
    }
    case 'set_box_selector_parameters': {
      const names = ['score_thresh', 'topk_candidates_per_level', 'nms_thresh', 'detections_per_img', 'apply_sigmoid'];
      return { selection: readSelection(args.ofCall(call, names)) };
    }
    case 'set_sliding_window_inferer':
      return { windows: readWindows(args.ofCall(call, windowParameters)) };
    default:
      throw args.refuse(`the call of ${call.name.slice(0, 60)} is not supported`);
  }
}

function readSelection(given: Arguments): BoxSelection {
  // More than these, boxes are compared with each other for minutes.
  const count = (name: string, fallback: number, most: number): number => {
    const value = given.number(name, fallback);
    if (!Number.isInteger(value) || value < 1 || value > most)
      throw given.refuse(`'${name}' must be a whole number from 1 to ${most}`);
    return value;
  };
  const selection = {
    scoreThreshold: given.number('score_thresh', 0.05),
    perLevel: count('topk_candidates_per_level', 1000, 10_000),
    nmsThreshold: given.number('nms_thresh', 0.5),
    perImage: count('detections_per_img', 300, 1000),
    applySigmoid: given.boolean('apply_sigmoid', true),
  };
  given.finish();
  return selection;
}

const windowParameters = [
  'roi_size',
  'sw_batch_size',
  'overlap',
  'mode',
  'sigma_scale',
  'padding_mode',
  'cval',
  'sw_device',
  'device',
  'progress',
  'cache_roi_weight_map',
];

function readWindows(given: Arguments): SlidingWindowOptions {
  // The detector's default overlap is another than the inferer's own.
  const overlap = given.component.argumentNames.includes('overlap') ? {} : { overlap: 0.5 };
  const windows = { ...readSlidingWindowOptions(given), ...overlap };
  given.finish();
  for (const values of [windows.roiSize, windows.overlap, windows.sigmaScale]) {
    if (typeof values === 'object' && values.length !== 3)
      throw given.refuse("'roi_size', 'overlap' and 'sigma_scale' must be a number or three of them");
  }
  return windows;
}
