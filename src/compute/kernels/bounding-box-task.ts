import type { StridedImage } from '../../imaging/strided-image.ts';
import type { VoxelArray } from '../../imaging/volume.ts';
import type { Slab } from './slabs.ts';

/** The voxels that count. */
export interface Selection {
  readonly comparison: '>' | '>=' | '<' | '<=' | '!=' | '==';
  readonly value: number;
}

export interface BoundingBoxInput extends Slab {
  readonly image: StridedImage<VoxelArray>;
  readonly channels: readonly number[];
  readonly selection: Selection;
}

/** First and last index of each axis that holds a selected voxel. */
export interface Extent {
  readonly first: readonly [number, number, number];
  readonly last: readonly [number, number, number];
}

const tests: Readonly<Record<Selection['comparison'], (value: number, limit: number) => boolean>> = {
  '>': (value, limit) => value > limit,
  '>=': (value, limit) => value >= limit,
  '<': (value, limit) => value < limit,
  '<=': (value, limit) => value <= limit,
  '!=': (value, limit) => value !== limit,
  '==': (value, limit) => value === limit,
};

/** Extent of the selected voxels in a slab of the third axis; nothing when none is selected. */
export function boundingBoxSlab({ image, channels, selection, from, to }: BoundingBoxInput): Extent | undefined {
  const { data, offset, channelStride, strides, shape } = image;
  const limit = Math.fround(selection.value);
  const isSelected = tests[selection.comparison];
  const first = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY] as [
    number,
    number,
    number,
  ];
  const last: [number, number, number] = [-1, -1, -1];
  for (const channel of channels) {
    for (let k = from; k < to; k++) {
      for (let j = 0; j < shape[1]; j++) {
        const row = offset + channel * channelStride + k * strides[2] + j * strides[1];
        let low = 0;
        while (low < shape[0] && !isSelected(data[row + low * strides[0]] as number, limit)) low++;
        if (low === shape[0]) continue;
        let high = shape[0] - 1;
        while (!isSelected(data[row + high * strides[0]] as number, limit)) high--;
        first[0] = Math.min(first[0], low);
        last[0] = Math.max(last[0], high);
        first[1] = Math.min(first[1], j);
        last[1] = Math.max(last[1], j);
        first[2] = Math.min(first[2], k);
        last[2] = Math.max(last[2], k);
      }
    }
  }
  return last[0] < 0 ? undefined : { first, last };
}
