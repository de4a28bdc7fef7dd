import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import type { MetaImage } from '../../../src/monai/meta-image.ts';
import { appliedTo, type ImageArray, madeImage, valuesOf } from '../../support/transform-images.ts';

const options = { numRuns: 12, seed: 5 };
const size = fc.integer({ min: 2, max: 9 });
const seed = fc.integer({ min: 1, max: 100_000 });

const image = (
  content: 'noise' | 'intensities' | 'labels' | 'mask' | 'boxes',
  channels = 2,
): fc.Arbitrary<ImageArray> =>
  fc
    .tuple(fc.integer({ min: 1, max: channels }), size, size, size, seed)
    .map(([count, x, y, z, number]) => madeImage({ shape: [count, x, y, z], content, seed: number }));

const step = (target: string, args: Record<string, unknown> = {}): Record<string, unknown> => ({
  _target_: target,
  keys: 'image',
  ...args,
});

async function changed(source: ImageArray, ...transforms: Record<string, unknown>[]): Promise<MetaImage> {
  return (await appliedTo(transforms, { image: source })).get('image') as MetaImage;
}

async function thereAndBack(source: ImageArray, transform: Record<string, unknown>): Promise<MetaImage> {
  return (await appliedTo([transform], { image: source }, { invert: 'same' })).get('pred') as MetaImage;
}

/** The image mirrored along an axis (1 to 3). */
function flipped({ shape, data, affine }: ImageArray, axis: 1 | 2 | 3): ImageArray {
  const inner = shape.slice(axis + 1).reduce((product, n) => product * n, 1);
  const length = shape[axis] as number;
  const out = data.map((_, at) => {
    const index = Math.floor(at / inner) % length;
    return data[at + (length - 1 - 2 * index) * inner] as number;
  });
  return { shape, data: out, affine };
}

const arrayOf = (of: MetaImage): ImageArray => ({
  shape: [of.voxels.channels, ...of.voxels.shape],
  data: valuesOf(of),
  affine: of.affineRas,
});

function expectClose(a: Float32Array, b: Float32Array, tolerance: number): void {
  expect(a.length).toBe(b.length);
  let worst = 0;
  for (let n = 0; n < a.length; n++) worst = Math.max(worst, Math.abs((a[n] as number) - (b[n] as number)));
  expect(worst).toBeLessThanOrEqual(tolerance);
}

describe('voxel-wise transforms', () => {
  it('ScaleIntensityd reaches exactly from minv to maxv', () =>
    fc.assert(
      fc.asyncProperty(
        image('noise'),
        fc.integer({ min: -5, max: 0 }),
        fc.integer({ min: 1, max: 5 }),
        async (source, minv, maxv) => {
          const values = valuesOf(await changed(source, step('ScaleIntensityd', { minv, maxv })));
          expect(Math.min(...values)).toBe(minv);
          expect(Math.max(...values)).toBeCloseTo(maxv, 5);
        },
      ),
      options,
    ));

  it('NormalizeIntensityd gives mean 0 and deviation 1, and leaves zeros alone', () =>
    fc.assert(
      fc.asyncProperty(image('intensities', 1), fc.boolean(), async (source, nonzero) => {
        const values = valuesOf(await changed(source, step('NormalizeIntensityd', { nonzero })));
        const counted = nonzero ? values.filter((_, n) => source.data[n] !== 0) : values;
        fc.pre(new Set(source.data).size > 3 && counted.length > 2);
        const mean = counted.reduce((sum, value) => sum + value, 0) / counted.length;
        const variance = counted.reduce((sum, value) => sum + (value - mean) ** 2, 0) / counted.length;
        expect(mean).toBeCloseTo(0, 4);
        expect(variance).toBeCloseTo(1, 3);
        if (nonzero) for (const [n, value] of source.data.entries()) if (value === 0) expect(values[n]).toBe(0);
      }),
      options,
    ));

  it.each([
    step('ScaleIntensityd'),
    step('CastToTyped', { dtype: 'int16' }),
    step('CastToTyped', { dtype: 'float16' }),
    step('AsDiscreted', { threshold: 0.25 }),
    step('Lambdad', { func: '$lambda x: torch.clamp(x, -1, 1)' }),
    step('KeepLargestConnectedComponentd', { is_onehot: true, applied_labels: [0] }),
    step('FillHolesd', { applied_labels: 1 }),
    step('CropForegroundd', { source_key: 'image' }),
    step('ResizeWithPadOrCropd', { spatial_size: 5 }),
    step('DivisiblePadd', { k: 4 }),
    step('Resized', { spatial_size: [4, 5, 6] }),
    step('Orientationd', { axcodes: 'LPS' }),
  ])('$_target_ twice is the same as once', (transform) =>
    fc.assert(
      fc.asyncProperty(image('boxes', 1), async (source) => {
        fc.pre(source.data.some((value) => value > 0));
        const once = await changed(source, transform);
        const twice = await changed(source, transform, transform);
        expect(twice.voxels.shape).toEqual(once.voxels.shape);
        expectClose(valuesOf(twice), valuesOf(once), 1e-6);
      }),
      options,
    ),
  );

  it.each([
    step('ScaleIntensityd', { channel_wise: true }),
    step('NormalizeIntensityd', { nonzero: true, channel_wise: true }),
    step('ScaleIntensityRangePercentilesd', { lower: 5, upper: 95, b_min: 0, b_max: 1 }),
    step('Activationsd', { softmax: true }),
    step('AsDiscreted', { argmax: true }),
    step('Resized', { spatial_size: [5, 4, 7], mode: 'trilinear' }),
    step('Resized', { spatial_size: [3, 3, 3], mode: 'area' }),
    step('KeepLargestConnectedComponentd', { num_components: 40, connectivity: 1, is_onehot: true }),
    step('CropForegroundd', { source_key: 'image', margin: 1, mode: 'edge' }),
    step('BorderPadd', { spatial_border: 2, mode: 'minimum' }),
    step('SpatialPadd', { spatial_size: [10, 12, 14], mode: 'symmetric' }),
  ])('$_target_ commutes with mirroring an axis', (transform) =>
    fc.assert(
      fc.asyncProperty(image('noise', 3), fc.constantFrom(1 as const, 2 as const, 3 as const), async (source, axis) => {
        // A size that is padded by an odd number has its middle on one side.
        fc.pre(transform._target_ !== 'SpatialPadd' || (source.shape[axis] as number) % 2 === 0);
        const first = arrayOf(await changed(flipped(source, axis), transform));
        const last = flipped(arrayOf(await changed(source, transform)), axis);
        expect(first.shape).toEqual(last.shape);
        expectClose(first.data, last.data, 2e-5);
      }),
      options,
    ),
  );
});

describe('inverses', () => {
  it.each([
    step('Orientationd', { axcodes: 'SPL' }),
    step('SpatialPadd', { spatial_size: [8, 9, 10], mode: 'reflect' }),
    step('BorderPadd', { spatial_border: [1, 0, 2, 3, 0, 1] }),
    step('DivisiblePadd', { k: [4, 0, 3], method: 'end' }),
    step('ResizeWithPadOrCropd', { spatial_size: 9 }),
    step('CropForegroundd', { source_key: 'image', margin: 9 }),
  ])('$_target_ loses nothing where it only adds', (transform) =>
    fc.assert(
      fc.asyncProperty(image('mask'), async (source) => {
        fc.pre(source.data.some((value) => value > 0));
        try {
          const back = await thereAndBack(source, transform);
          expect(back.voxels.shape).toEqual(source.shape.slice(1));
          for (const [n, value] of back.affineRas.entries()) expect(value).toBeCloseTo(source.affine[n] as number, 9);
          expectClose(valuesOf(back), source.data, 0);
        } catch (thrown) {
          // torch reflects at most what is there.
          expect(thrown).toBeInstanceOf(EndpointError);
          expect(transform).toMatchObject({ mode: 'reflect' });
        }
      }),
      options,
    ),
  );

  it.each([
    step('CenterSpatialCropd', { roi_size: [3, -1, 4] }),
    step('SpatialCropd', { roi_start: [1, 0, 0], roi_end: [4, 3, 9] }),
    step('CropForegroundd', { source_key: 'image' }),
    step('Resized', { spatial_size: [4, 7, 5], mode: 'nearest' }),
    step('Spacingd', { pixdim: [2, 1, 1.5] }),
  ])('$_target_ comes back to the grid of the image', (transform) =>
    fc.assert(
      fc.asyncProperty(image('mask', 1), async (source) => {
        fc.pre(source.data.some((value) => value > 0));
        const back = await thereAndBack(source, transform);
        expect(back.voxels.shape).toEqual(source.shape.slice(1));
        for (const [n, value] of back.affineRas.entries()) expect(value).toBeCloseTo(source.affine[n] as number, 6);
      }),
      options,
    ),
  );

  it('what a crop keeps comes back in its place, and the rest is zero', () =>
    fc.assert(
      fc.asyncProperty(image('labels', 1), async (source) => {
        fc.pre(source.data.some((value) => value > 0));
        const back = await thereAndBack(source, step('CropForegroundd', { source_key: 'image' }));
        expectClose(valuesOf(back), source.data, 0);
      }),
      options,
    ));
});

describe('components', () => {
  it('keeps whole components only, and the largest', () =>
    fc.assert(
      fc.asyncProperty(image('mask', 1), fc.integer({ min: 1, max: 3 }), async (source, keep) => {
        const values = valuesOf(
          await changed(source, step('KeepLargestConnectedComponentd', { num_components: keep })),
        );
        const more = valuesOf(
          await changed(source, step('KeepLargestConnectedComponentd', { num_components: keep + 1 })),
        );
        const count = (of: Float32Array): number => of.reduce((sum, value) => sum + value, 0);
        for (const [n, value] of values.entries()) {
          if (value > 0) expect(source.data[n]).toBe(1);
          if (value > 0) expect(more[n]).toBe(1);
        }
        expect(count(more)).toBeGreaterThanOrEqual(count(values));
        expect(count(values)).toBeGreaterThan(0);
      }),
      options,
    ));

  it('removing objects of one voxel and fewer changes nothing; filled holes never lose a voxel', () =>
    fc.assert(
      fc.asyncProperty(image('mask', 1), async (source) => {
        expect(valuesOf(await changed(source, step('RemoveSmallObjectsd', { min_size: 1 })))).toEqual(source.data);
        const filled = valuesOf(await changed(source, step('FillHolesd')));
        for (const [n, value] of source.data.entries()) if (value > 0) expect(filled[n]).toBe(1);
      }),
      options,
    ));
});
