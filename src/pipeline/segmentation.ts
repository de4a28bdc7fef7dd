import type { Affine } from '../imaging/affine.ts';
import type { Shape3 } from '../imaging/volume.ts';

/** A code of a coding scheme: value, scheme, meaning (PS3.16). */
export type Code = readonly [value: string, scheme: string, meaning: string];

/** What one label of a result means. */
export interface Segment {
  /** Its value in a label map; of a result with a channel a segment, the channel's number plus one. */
  readonly value: number;
  readonly label: string;
  readonly category: Code;
  readonly propertyType: Code;
}

/** A result on the grid of the source image, voxels x fastest. */
export type Segmentation = {
  readonly shape: Shape3;
  readonly affineRas: Affine;
  readonly segments: readonly Segment[];
} & (
  | {
      readonly kind: 'labelmap';
      /** 0 is background; only values of `segments` occur. */
      readonly labels: Uint8Array | Uint16Array;
    }
  | {
      readonly kind: 'masks';
      /** One mask of 0 and 1 a segment, in the order of `segments`; they may overlap. */
      readonly masks: readonly Uint8Array[];
    }
);

/** Volume of a voxel, also of a sheared grid. */
export function voxelVolumeMm3(m: Affine): number {
  return Math.abs(
    m[0] * (m[5] * m[10] - m[6] * m[9]) - m[1] * (m[4] * m[10] - m[6] * m[8]) + m[2] * (m[4] * m[9] - m[5] * m[8]),
  );
}
