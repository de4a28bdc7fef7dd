import { EndpointError } from '../../errors.ts';
import type { Axis } from '../../imaging/strided-image.ts';
import type { TensorInfo } from '../../imaging/tensor.ts';
import type { Shape3 } from '../../imaging/volume.ts';

/** How a window lies in the network's input: channels, and which of the three axes the network has. */
export interface WindowForm {
  readonly channels: number;
  readonly shape: Shape3;
  /** The network's spatial axes, in order; the others are of size 1 and the network does not see them. */
  readonly axes: readonly Axis[];
}

/** Spatial axes that an input has; undefined where the ONNX file declares no shape. */
export function spatialRank({ dims }: TensorInfo): number | undefined {
  return dims.length === 0 ? undefined : dims.length - 2;
}

/** Rows that the network takes at once: a number where the file fixes it. */
export const fixedBatch = ({ dims }: TensorInfo): number | undefined => positive(dims[0]);

/** Size of each spatial axis that the file fixes. */
export const fixedShape = ({ dims }: TensorInfo): readonly (number | undefined)[] => dims.slice(2).map(positive);

const positive = (dim: number | string | undefined): number | undefined =>
  typeof dim === 'number' && dim > 0 ? dim : undefined;

/**
 * The axes that a network sees of an image: all three, or the first two of a flat image.
 *
 * @throws EndpointError `unprocessable_image` when a network for flat images is given a volume
 */
export function axesFor(input: TensorInfo, shape: Shape3): readonly Axis[] {
  if ((spatialRank(input) ?? 3) === 3) return [0, 1, 2];
  if (shape[2] === 1) return [0, 1];
  throw new EndpointError(
    'unprocessable_image',
    `The network takes images of two axes; this one has ${shape.join(' × ')} voxels. Send one slice or frame.`,
  );
}

/**
 * Checks that the network takes such a window.
 *
 * @throws EndpointError `unprocessable_image`: another number of channels or another size than the ONNX file fixes
 */
export function checkForm(input: TensorInfo, { channels, shape, axes }: WindowForm): void {
  const fixedChannels = positive(input.dims[1]);
  if (fixedChannels !== undefined && fixedChannels !== channels) {
    throw new EndpointError(
      'unprocessable_image',
      `The network takes ${fixedChannels} channels; the preprocessed image has ${channels}.`,
    );
  }
  const sizes = axes.map((axis) => shape[axis]);
  if (fits(fixedShape(input), sizes)) return;
  throw new EndpointError(
    'unprocessable_image',
    `The network takes ${describeShape(fixedShape(input))} voxels and nothing else; after the preprocessing there are ${sizes.join(' × ')}.`,
  );
}

/** Whether sizes agree with those that the file fixes. */
export const fits = (fixed: readonly (number | undefined)[], sizes: readonly number[]): boolean =>
  fixed.every((size, n) => size === undefined || size === sizes[n]);

export const describeShape = (fixed: readonly (number | undefined)[]): string =>
  fixed.map((size) => size ?? 'any').join(' × ');
