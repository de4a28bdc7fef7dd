import type { AxisSamples } from '../compute/kernels/axis-samples.ts';
import type { ComputePool } from '../compute/pool.ts';
import type { Affine } from '../imaging/affine.ts';
import type { StridedImage } from '../imaging/strided-image.ts';
import type { Shape3, Volume, VoxelArray } from '../imaging/volume.ts';
import type { Component } from './bundle/config-value.ts';
import type { Detections } from './detection/detections.ts';
import type { PointSets } from './points.ts';

/** What a transform works with: threads over shared memory, and the request's end. */
export interface RunContext {
  readonly pool: ComputePool;
  readonly signal: AbortSignal;
  /** The points of the run, which transforms change and add to. */
  readonly points?: PointSets | undefined;
  /** Told what the answer's warnings shall say. */
  warn?(message: string): void;
}

/**
 * An image between transforms, as MONAI's `MetaTensor`: channels on one grid, in shared memory, with the affine and the
 * operations that `Invertd` undoes.
 */
export interface MetaImage {
  readonly voxels: StridedImage<VoxelArray>;
  readonly affineRas: Affine;
  readonly applied: readonly AppliedOperation[];
  /** True when nothing else reads the memory, so that a voxel-wise transform may write in place. */
  readonly owned: boolean;
  /** True when the values are channel numbers from an argmax. */
  readonly fromArgmax: boolean;
  /** 2 for a plane: the third axis, of length 1, is then none for the bundle. Absent: a volume. */
  readonly spatialDims?: 2 | 3 | undefined;
}

/** An invertible operation that was applied to an image. */
export interface AppliedOperation {
  /** The configured transform that did it. */
  readonly by: Component;
  /** False when the inverse only looks at the same voxels in another way. */
  readonly movesVoxels: boolean;
  invert(image: MetaImage, options: InvertOptions, context: RunContext): Promise<MetaImage>;
  /** Inverse and argmax over the channels at once, where that saves holding the inverted channels. */
  invertToArgmax?(image: MetaImage, context: RunContext): Promise<MetaImage>;
  /** The inverse axis by axis, where it is one, for an image on this grid; `same` when it changes nothing. */
  separableInverse?(grid: MetaImage): SeparableInverse | 'same' | undefined;
}

/** Linear interpolation along each axis by itself. */
export interface SeparableInverse {
  /** Where each index of the result reads, axis by axis; always inside the image. */
  readonly samples: readonly [AxisSamples, AxisSamples, AxisSamples];
  readonly shape: Shape3;
  readonly affineRas: Affine;
}

export interface InvertOptions {
  /** Nearest neighbours in place of the interpolation that the operation itself used. */
  readonly nearest: boolean;
}

/** The images of a run by their keys (`image`, `pred`), and beside them what a detector found. */
export interface ImageData extends Map<string, MetaImage> {
  detections?: Detections | undefined;
}

/** Input of a run by key: one volume, or one for each channel. */
export type Volumes = Readonly<Record<string, Volume | readonly Volume[]>>;
