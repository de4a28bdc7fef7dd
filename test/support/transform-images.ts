import type { ComputePool } from '../../src/compute/pool.ts';
import { InThreadPool } from '../../src/compute/pool.ts';
import type { Affine } from '../../src/imaging/affine.ts';
import { stridedOver, zFastest } from '../../src/imaging/strided-image.ts';
import type { Shape3 } from '../../src/imaging/volume.ts';
import { compileTransforms } from '../../src/monai/bundle/compose.ts';
import { ConfigDocument } from '../../src/monai/bundle/config-document.ts';
import { parseConfig } from '../../src/monai/bundle/config-file.ts';
import type { Component } from '../../src/monai/bundle/config-value.ts';
import type { ImageData, MetaImage } from '../../src/monai/meta-image.ts';

/** A channel-first image: channels, then two or three axes, the last fastest. */
export interface ImageArray {
  readonly shape: readonly number[];
  readonly data: Float32Array;
  readonly affine: Affine;
}

const affines: readonly Affine[] = [
  [1.5, 0, 0, -12.5, 0, 1.25, 0, 7.25, 0, 0, 3, 30, 0, 0, 0, 1],
  [-0.8, 0, 0, 90, 0, -0.9, 0, 80, 0, 0, 2.5, -40, 0, 0, 0, 1],
  [0, 0, -2, 10, -1, 0, 0, 20, 0, -0.5, 0, 30, 0, 0, 0, 1],
];

/** An image of a kind, the same each time for the same seed. */
export function madeImage(spec: {
  readonly shape: readonly number[];
  readonly content: 'noise' | 'intensities' | 'labels' | 'mask' | 'boxes';
  readonly seed: number;
}): ImageArray {
  let state = spec.seed >>> 0;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const count = spec.shape.reduce((product, size) => product * size, 1);
  const data = Float32Array.from({ length: count }, () => {
    const value = random();
    switch (spec.content) {
      case 'labels':
        return Math.max(0, Math.floor(value * 5) - 2);
      case 'mask':
        return value > 0.7 ? 1 : 0;
      case 'intensities':
        return value < 0.3 ? 0 : Math.round((value - 0.4) * 3000);
      default:
        return (value - 0.5) * 8;
    }
  });
  if (spec.content === 'boxes') fillBoxes(data, spec.shape, random);
  return { shape: spec.shape, data, affine: affines[spec.seed % affines.length] as Affine };
}

/** As an image between transforms; two axes make a plane. */
export function metaImage({ shape, data, affine }: ImageArray): MetaImage {
  const [channels = 1, x = 1, y = 1, z] = shape;
  const shared = new Float32Array(new SharedArrayBuffer(data.byteLength));
  shared.set(data);
  return {
    voxels: stridedOver(shared, channels, [x, y, z ?? 1] as Shape3, zFastest),
    affineRas: affine,
    applied: [],
    owned: true,
    fromArgmax: false,
    spatialDims: z === undefined ? 2 : 3,
  };
}

/** All values, channels first and the last axis fastest. */
export function valuesOf({ voxels }: MetaImage): Float32Array {
  const { data, offset, strides, channelStride, shape, channels } = voxels;
  const values = new Float32Array(channels * shape[0] * shape[1] * shape[2]);
  let n = 0;
  for (let c = 0; c < channels; c++)
    for (let i = 0; i < shape[0]; i++)
      for (let j = 0; j < shape[1]; j++)
        for (let k = 0; k < shape[2]; k++)
          values[n++] = data[offset + c * channelStride + i * strides[0] + j * strides[1] + k * strides[2]] as number;
  return values;
}

/** The images after configured transforms; with `invert`, the image taken back once more as `pred`. */
export async function appliedTo(
  transforms: readonly Record<string, unknown>[],
  images: Readonly<Record<string, ImageArray>>,
  options: { readonly pool?: ComputePool; readonly invert?: 'nearest' | 'same' | undefined } = {},
): Promise<ImageData> {
  const { pool = new InThreadPool(), invert } = options;
  const file = 'configs/inference.json';
  const inverse = {
    _target_: 'Invertd',
    keys: 'pred',
    orig_keys: 'image',
    transform: '@t',
    nearest_interp: invert === 'nearest',
  };
  const content = { t: { _target_: 'Compose', transforms }, invert: inverse };
  const document = new ConfigDocument(parseConfig(JSON.stringify(content), file), file);
  const root = document.resolve('t');
  const scope = { preprocessing: [], preprocessingRoot: undefined, bareKey: 'image' };
  const compiled = compileTransforms(root, file, 't', scope);
  const data: ImageData = new Map(Object.entries(images).map(([key, image]) => [key, metaImage(image)]));
  const context = { pool, signal: new AbortController().signal };
  for (const transform of compiled) await transform.apply(data, context);
  if (invert) {
    data.set('pred', { ...(data.get('image') as MetaImage), applied: [] });
    const after = { preprocessing: compiled, preprocessingRoot: root as Component, bareKey: 'pred' };
    for (const transform of compileTransforms(document.resolve('invert'), file, 'invert', after))
      await transform.apply(data, context);
  }
  return data;
}

/** Boxes of the labels 1 to 3 at random places on an empty ground. */
function fillBoxes(
  data: Float32Array,
  [channels = 1, x = 1, y = 1, z = 1]: readonly number[],
  random: () => number,
): void {
  data.fill(0);
  const range = (size: number): [number, number] => {
    const from = Math.floor(random() * size);
    return [from, Math.min(size, from + 1 + Math.floor(random() * 4))];
  };
  for (let n = 0; n < 9; n++) {
    const label = 1 + (n % 3);
    const channel = Math.floor(random() * channels);
    const [xs, ys, zs] = [range(x), range(y), range(z)];
    for (let i = xs[0]; i < xs[1]; i++)
      for (let j = ys[0]; j < ys[1]; j++)
        for (let k = zs[0]; k < zs[1]; k++) data[((channel * x + i) * y + j) * z + k] = label;
  }
}
