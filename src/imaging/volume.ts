import type { Affine } from './affine.ts';

/** Typed arrays that can hold voxels. Backed by a `SharedArrayBuffer` where threads work on them. */
export type VoxelArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array;

/** Number of voxels along i, j, k; i runs fastest in memory. */
export type Shape3 = readonly [nx: number, ny: number, nz: number];

/**
 * A scalar grid in patient space.
 *
 * `data[i + nx * (j + ny * k)]` is the voxel whose centre lies at `affineRas · (i, j, k, 1)` millimetres, in the
 * RAS+ frame that MONAI and NIfTI use. DICOM's LPS is turned into RAS in
 * series-to-volume and prompt-clicks only, and back in the DICOM and mesh writers only.
 */
export interface Volume<T extends VoxelArray = VoxelArray> {
  readonly data: T;
  readonly shape: Shape3;
  readonly affineRas: Affine;
  /** True for a picture that never was part of a volume: its third axis, of length 1, means nothing. */
  readonly isPlane?: boolean | undefined;
}

/** Number of voxels of a grid. */
export const voxelCount = (shape: Shape3): number => shape[0] * shape[1] * shape[2];
