import type { AppliedOperation, MetaImage, SeparableInverse } from '../meta-image.ts';

/**
 * What the postprocessing does to the prediction until it is a label map: a softmax or none, the inverse of the
 * preprocessing, and an argmax. An inferer may do it piece by piece, without ever holding all channels of the image.
 */
export interface LabelPlan {
  readonly softmax: boolean;
  /** The preprocessed image, whose grid the prediction lies on. */
  readonly original: MetaImage;
  /** What is undone between softmax and argmax, last first; interpolated as the operations themselves do. */
  readonly inverse: readonly AppliedOperation[];
}

/** How a plan can be carried out column by column. */
export interface ColumnwisePlan {
  readonly softmax: boolean;
  /** The interpolation before the argmax; none: every voxel is on its own. */
  readonly sampling: SeparableInverse | undefined;
  /** What is left to be undone on the label map; it moves no voxels. */
  readonly rest: readonly AppliedOperation[];
}

/** The plan column by column; undefined where the inverse moves voxels in another way than interpolating along its axes. */
export function columnwise({ softmax, original, inverse }: LabelPlan): ColumnwisePlan | undefined {
  const [first, ...others] = inverse;
  if (inverse.every(({ movesVoxels }) => !movesVoxels)) return { softmax, sampling: undefined, rest: inverse };
  if (!first?.movesVoxels || others.some(({ movesVoxels }) => movesVoxels)) return undefined;
  const sampling = first.separableInverse?.(original);
  if (sampling === undefined) return undefined;
  return { softmax, sampling: sampling === 'same' ? undefined : sampling, rest: others };
}
