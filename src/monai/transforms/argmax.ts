import { sharedImage } from '../../compute/kernels/shared-arrays.ts';
import { argmaxInto } from '../../compute/kernels/voxelwise.ts';
import { memoryOrderOf, type StridedImage } from '../../imaging/strided-image.ts';
import type { Component } from '../bundle/config-value.ts';
import { imageOf, writableFloats } from '../image-data.ts';
import type { MetaImage, RunContext } from '../meta-image.ts';
import { labelStepOf, markLabelStep } from './label-steps.ts';
import { labelArrayType } from './label-type.ts';
import type { Transform } from './transform.ts';

/** Argmax over the channels; of logits when a softmax was asked for just before. */
export async function argmaxOf(image: MetaImage, ofSoftmax: boolean, context: RunContext): Promise<MetaImage> {
  const { channels, shape } = image.voxels;
  const source: StridedImage<Float32Array> =
    image.voxels.data instanceof Float32Array
      ? (image.voxels as StridedImage<Float32Array>)
      : await writableFloats(image, context);
  const target = sharedImage(labelArrayType(channels), 1, shape, memoryOrderOf(source));
  await argmaxInto(source, target, ofSoftmax, context.pool, context.signal);
  return { ...image, voxels: target, owned: true, fromArgmax: true };
}

/** A transform that does an argmax on one key and nothing else; {@link argmaxOnly} knows it. */
export function argmaxTransform(component: Component, key: string, ofSoftmax = false): Transform {
  const transform: Transform = {
    component,
    keys: [key],
    apply: async (data, context) => void data.set(key, await argmaxOf(imageOf(data, key), ofSoftmax, context)),
  };
  return ofSoftmax ? transform : markLabelStep(transform, { kind: 'argmax', key });
}

/** The key of a transform that is an argmax and nothing else. */
export function argmaxOnly(transform: Transform): string | undefined {
  const step = labelStepOf(transform);
  return step?.kind === 'argmax' ? step.key : undefined;
}
