import fc from 'fast-check';

/** What an image holds: noise around zero, intensities with many zeros, label numbers, a mask, or boxes of labels. */
export type Content = 'noise' | 'intensities' | 'labels' | 'mask' | 'boxes';

/** A channel-first image to be made: channels, then two or three axes. */
export interface ImageSpec {
  readonly shape: readonly number[];
  readonly content: Content;
  readonly seed: number;
}

export interface TransformCase {
  readonly transforms: readonly Record<string, unknown>[];
  readonly images: Readonly<Record<string, ImageSpec>>;
  readonly bare?: boolean;
  readonly invert?: 'nearest' | 'same' | undefined;
}

const size = fc.integer({ min: 3, max: 13 });
const seed = fc.integer({ min: 1, max: 1_000_000 });

function image(content: Content, channels = fc.integer({ min: 1, max: 3 }), dims = fc.constantFrom(2, 3, 3, 3)) {
  return fc.tuple(channels, dims, fc.tuple(size, size, size), seed).map(
    ([count, dim, sizes, number]): ImageSpec => ({
      shape: [count, ...sizes.slice(0, dim)],
      content,
      seed: number,
    }),
  );
}

const one = fc.constant(1);
const volume = fc.constant(3);
const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const given = (record: Record<string, unknown>): Record<string, unknown> =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined));

/** A transform of the key `image`, its arguments drawn for the image. */
function keyed(
  target: string,
  images: fc.Arbitrary<ImageSpec>,
  argumentsFor: (dims: number, spec: ImageSpec) => fc.Arbitrary<Record<string, unknown>>,
  invert?: fc.Arbitrary<'nearest' | 'same' | undefined>,
): fc.Arbitrary<TransformCase> {
  return images.chain((spec) =>
    fc.tuple(argumentsFor(spec.shape.length - 1, spec), invert ?? fc.constant(undefined)).map(([args, inverted]) => ({
      transforms: [{ _target_: target, keys: 'image', ...given(args) }],
      images: { image: spec },
      invert: inverted,
    })),
  );
}

const listOf = (dims: number, value: fc.Arbitrary<number>) => fc.array(value, { minLength: dims, maxLength: dims });
const perAxis = (dims: number, value: fc.Arbitrary<number>) => fc.oneof(value, listOf(dims, value));
const number = fc.integer({ min: -40, max: 40 }).map((n) => n / 8);
const sameWay = fc.constant('same' as const);
const eitherWay = fc.constantFrom('same' as const, 'nearest' as const);
const padMode = fc.constantFrom(
  'constant',
  'replicate',
  'edge',
  'reflect',
  'circular',
  'symmetric',
  'minimum',
  'maximum',
  'mean',
);
const dtype = fc
  .constantFrom('float32', 'float16', 'int8', 'uint8', 'int16', 'int32', 'int64', 'bool')
  .map((n) => `$torch.${n}`);
const connectivity = fc.constantFrom(1, 2, 3, null);

/** Arguments of each transform, drawn at random. */
export const transformCases: Readonly<Record<string, fc.Arbitrary<TransformCase>>> = {
  ScaleIntensityd: keyed('ScaleIntensityd', image('intensities'), () =>
    fc.record({
      minv: optional(fc.option(number)),
      maxv: optional(fc.option(number)),
      factor: optional(number),
      channel_wise: optional(fc.boolean()),
    }),
  ),
  NormalizeIntensityd: keyed('NormalizeIntensityd', image('intensities'), (_dims, spec) =>
    fc.boolean().chain((channelWise) => {
      const channels = spec.shape[0] as number;
      const value: fc.Arbitrary<number | number[]> = channelWise ? listOf(channels, number) : number;
      return fc.record({
        nonzero: optional(fc.boolean()),
        channel_wise: fc.constant(channelWise),
        subtrahend: optional(value),
        divisor: optional(value),
      });
    }),
  ),
  ScaleIntensityRanged: keyed('ScaleIntensityRanged', image('noise'), () =>
    fc.record({
      a_min: number,
      a_max: number,
      b_min: optional(number),
      b_max: optional(number),
      clip: optional(fc.constant(false)),
    }),
  ),
  ScaleIntensityRangePercentilesd: keyed('ScaleIntensityRangePercentilesd', image('noise'), () =>
    fc.record({
      lower: fc.integer({ min: 0, max: 40 }),
      upper: fc.integer({ min: 60, max: 100 }),
      b_min: number,
      b_max: number,
      clip: optional(fc.boolean()),
      relative: optional(fc.boolean()),
      channel_wise: optional(fc.boolean()),
    }),
  ),
  CastToTyped: keyed('CastToTyped', image('noise'), () => fc.record({ dtype })),
  EnsureTyped: keyed('EnsureTyped', image('noise'), () => fc.record({ dtype: optional(dtype) })),
  Activationsd: keyed('Activationsd', image('noise'), () => fc.constantFrom({ softmax: true }, { sigmoid: true }, {})),
  AsDiscreted: keyed('AsDiscreted', image('noise'), (_dims, spec) =>
    fc.constantFrom<Record<string, unknown>>(
      { argmax: true },
      { argmax: true, to_onehot: spec.shape[0] },
      { threshold: 0.5 },
      { rounding: 'torchrounding' },
      { argmax: true, to_onehot: 4, threshold: 0.5 },
    ),
  ),
  Orientationd: keyed(
    'Orientationd',
    image('noise', one, volume),
    () => fc.record({ axcodes: fc.constantFrom('RAS', 'LPS', 'SPL', 'AIR', 'PIR') }),
    sameWay,
  ),
  Spacingd: keyed(
    'Spacingd',
    image('noise', fc.integer({ min: 1, max: 2 }), volume),
    () =>
      fc
        .record({
          pixdim: fc.array(
            fc.integer({ min: 5, max: 30 }).map((n) => n / 10),
            { minLength: 3, maxLength: 3 },
          ),
          // Labels on turned grids: halfway between two voxels MONAI decides by the noise of its matrix solver.
          mode: fc.constantFrom('bilinear', 'nearest'),
          padding_mode: optional(fc.constantFrom('border', 'zeros', 'reflection')),
          align_corners: optional(fc.boolean()),
          diagonal: optional(fc.boolean()),
          scale_extent: optional(fc.boolean()),
        })
        .map((args) => (args.mode === 'nearest' ? { ...args, diagonal: undefined } : args)),
    eitherWay,
  ).map((one) => (one.transforms[0]?.diagonal ? { ...one, invert: 'same' as const } : one)),
  Resized: keyed(
    'Resized',
    image('noise'),
    (dims) =>
      fc.oneof(
        fc.record({
          spatial_size: listOf(dims, fc.integer({ min: 1, max: 16 })),
          mode: fc.constant(dims === 2 ? 'bilinear' : 'trilinear'),
          align_corners: optional(fc.constant(false)),
        }),
        fc.record({
          spatial_size: listOf(dims, fc.integer({ min: -1, max: 16 })),
          mode: optional(fc.constantFrom('area', 'nearest', 'nearest-exact', 'bilinear')),
        }),
        fc.record({ spatial_size: fc.integer({ min: 3, max: 16 }), size_mode: fc.constant('longest') }),
      ),
    eitherWay,
  ),
  'Resized with aligned corners': keyed(
    'Resized',
    image('noise'),
    (dims) =>
      fc.record({
        spatial_size: listOf(dims, fc.integer({ min: 2, max: 16 })),
        mode: fc.constant(dims === 2 ? 'bilinear' : 'trilinear'),
        align_corners: fc.constant(true),
      }),
    // Not by nearest neighbours: MONAI's affine is then no longer that of the image.
    sameWay,
  ),
  CropForegroundd: keyed(
    'CropForegroundd',
    image('mask'),
    (dims, spec) =>
      fc.record({
        source_key: fc.constant('image'),
        margin: optional(perAxis(dims, fc.integer({ min: 0, max: 3 }))),
        allow_smaller: optional(fc.boolean()),
        k_divisible: optional(perAxis(dims, fc.integer({ min: 1, max: 5 }))),
        channel_indices: optional(fc.integer({ min: 0, max: (spec.shape[0] as number) - 1 })),
        mode: optional(padMode),
      }),
    sameWay,
  ),
  SpatialPadd: keyed(
    'SpatialPadd',
    image('noise'),
    (dims) =>
      fc.record({
        spatial_size: perAxis(dims, fc.integer({ min: -1, max: 16 })),
        method: optional(fc.constantFrom('symmetric', 'end')),
        mode: optional(padMode),
      }),
    sameWay,
  ),
  BorderPadd: keyed(
    'BorderPadd',
    image('noise'),
    (dims) =>
      fc.record({
        spatial_border: fc.oneof(
          perAxis(dims, fc.integer({ min: 0, max: 3 })),
          fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 2 * dims, maxLength: 2 * dims }),
        ),
        mode: optional(padMode),
      }),
    sameWay,
  ),
  DivisiblePadd: keyed(
    'DivisiblePadd',
    image('noise'),
    (dims) =>
      fc.record({
        k: perAxis(dims, fc.integer({ min: 0, max: 6 })),
        method: optional(fc.constantFrom('symmetric', 'end')),
        mode: optional(padMode),
      }),
    sameWay,
  ),
  CenterSpatialCropd: keyed(
    'CenterSpatialCropd',
    image('noise'),
    (dims) => fc.record({ roi_size: perAxis(dims, fc.integer({ min: -1, max: 14 })) }),
    sameWay,
  ),
  CenterScaleCropd: keyed(
    'CenterScaleCropd',
    image('noise'),
    (dims) =>
      fc.record({
        roi_scale: perAxis(
          dims,
          fc.integer({ min: 1, max: 10 }).map((n) => n / 10),
        ),
      }),
    sameWay,
  ),
  SpatialCropd: keyed(
    'SpatialCropd',
    image('noise'),
    (dims) =>
      fc.oneof(
        fc.record({
          roi_start: fc.array(fc.integer({ min: 0, max: 1 }), { minLength: dims, maxLength: dims }),
          roi_end: fc.array(fc.integer({ min: 2, max: 14 }), { minLength: dims, maxLength: dims }),
        }),
        fc.record({
          roi_center: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: dims, maxLength: dims }),
          roi_size: fc.array(fc.integer({ min: 1, max: 14 }), { minLength: dims, maxLength: dims }),
        }),
      ),
    sameWay,
  ),
  ResizeWithPadOrCropd: keyed(
    'ResizeWithPadOrCropd',
    image('noise'),
    (dims) =>
      fc.record({
        spatial_size: perAxis(dims, fc.integer({ min: 1, max: 16 })),
        method: optional(fc.constantFrom('symmetric', 'end')),
        mode: optional(fc.constantFrom('constant', 'edge', 'minimum', 'symmetric')),
      }),
    sameWay,
  ),
  KeepLargestConnectedComponentd: keyed('KeepLargestConnectedComponentd', image('boxes', one), () =>
    fc.record({
      applied_labels: optional(fc.uniqueArray(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 2 })),
      independent: optional(fc.constant(true)),
      connectivity: optional(fc.constantFrom(1, 2, null)),
      num_components: optional(fc.integer({ min: 1, max: 3 })),
    }),
  ),
  'KeepLargestConnectedComponentd of channels': keyed(
    'KeepLargestConnectedComponentd',
    image('boxes', fc.constant(2)),
    () =>
      fc.record({
        applied_labels: optional(fc.constantFrom([0], [1], [0, 1])),
        num_components: optional(fc.integer({ min: 1, max: 2 })),
      }),
  ),
  FillHolesd: keyed('FillHolesd', image('labels', one), () =>
    fc.record({
      applied_labels: optional(fc.constantFrom([1], [2], [1, 2])),
      connectivity: optional(fc.constantFrom(1, 2, null)),
    }),
  ),
  RemoveSmallObjectsd: keyed('RemoveSmallObjectsd', image('mask', one), (dims) =>
    fc.record({
      min_size: fc.integer({ min: 1, max: 12 }),
      connectivity: optional(connectivity.filter((n) => n !== null && n <= dims)),
      by_measure: optional(fc.boolean()),
    }),
  ),
  Lambdad: keyed('Lambdad', image('noise', fc.constant(3)), () =>
    fc.record({
      func: fc.constantFrom(
        '$lambda x: torch.where(x[[2]] > 0, 4, torch.where(x[[0]] > 0, 1, torch.where(x[[1]] > 0, 2, 0)))',
        '$lambda x : x[1:]',
        '$lambda x: torch.nan_to_num(x, nan=255)',
        '$lambda x: (x[:2] + 1) * 0.3 - x[[2]] / 7',
        '$lambda x: torch.clamp(x, -1, 0.5)',
        '$lambda x: torch.clamp(x, min=0)',
        '$lambda x: x[[-1, 0]] >= 0.25',
        '$lambda x: torch.abs(-x)',
      ),
    }),
  ),
  RepeatChanneld: keyed('RepeatChanneld', image('noise'), () => fc.record({ repeats: fc.integer({ min: 1, max: 3 }) })),
  ConcatItemsd: image('noise').map((spec) => ({
    transforms: [
      { _target_: 'CopyItemsd', keys: 'image', times: 2, names: ['a', 'b'] },
      { _target_: 'ScaleIntensityd', keys: 'b' },
      { _target_: 'ConcatItemsd', keys: ['b', 'image', 'a'], name: 'c' },
      { _target_: 'SelectItemsd', keys: ['c', 'image'] },
    ],
    images: { image: spec },
  })),
  SplitDimd: image('noise', fc.constant(2)).map((spec) => ({
    transforms: [
      { _target_: 'SplitDimd', keys: 'image', output_postfixes: ['x', 'y'] },
      { _target_: 'DeleteItemsd', keys: 'image' },
    ],
    images: { image: spec },
  })),
  AddLabelAsGuidanced: image('noise', fc.constant(3), fc.constant(2)).map((spec) => ({
    transforms: [{ _target_: 'monai.apps.nuclick.transforms.AddLabelAsGuidanced', keys: 'image', source: 'label' }],
    images: { image: spec, label: { ...spec, shape: [1, ...spec.shape.slice(1)], content: 'labels' as const } },
  })),
  'bare twins': image('intensities', one, volume).map((spec) => ({
    transforms: [
      { _target_: 'ScaleIntensity', minv: -1 },
      { _target_: 'Resize', spatial_size: [7, -1, 9], mode: 'trilinear' },
      { _target_: 'NormalizeIntensity', nonzero: true },
      { _target_: 'CropForeground', margin: 1 },
    ],
    images: { image: spec },
    bare: true,
  })),
  'bare AsDiscrete': image('intensities', one, volume).map((spec) => ({
    transforms: [{ _target_: 'AsDiscrete', threshold: 100 }],
    images: { image: spec },
    bare: true,
  })),
};
