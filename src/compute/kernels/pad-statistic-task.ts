import type { Axis, StridedImage } from '../../imaging/strided-image.ts';
import type { Shape3 } from '../../imaging/volume.ts';
import type { KernelArray } from './shared-arrays.ts';

export type PadStatistic = 'minimum' | 'maximum' | 'mean';

export interface PadStatisticInput {
  /** The image in its place, with room around it that is to be filled. */
  readonly image: StridedImage<KernelArray>;
  /** Where the image begins. */
  readonly start: readonly [number, number, number];
  readonly shape: Shape3;
  readonly statistic: PadStatistic;
}

/**
 * Fills what lies around an image with a figure of each line: first along i, then along j over what is there by then,
 * then along k (numpy's `pad`).
 */
export function padWithStatistic({ image, start, shape, statistic }: PadStatisticInput): void {
  const whole = image.shape;
  for (const axis of [0, 1, 2] as const) {
    if (whole[axis] === shape[axis]) continue;
    const [a, b] = ([0, 1, 2] as const).filter((other) => other !== axis) as [Axis, Axis];
    // Earlier axes are filled already and count whole; of the later ones only the image itself is there.
    const range = (other: Axis): [number, number] =>
      other < axis ? [0, whole[other]] : [start[other], start[other] + shape[other]];
    const [aFrom, aTo] = range(a);
    const [bFrom, bTo] = range(b);
    for (let channel = 0; channel < image.channels; channel++) {
      for (let n = aFrom; n < aTo; n++) {
        for (let m = bFrom; m < bTo; m++) {
          const first = image.offset + channel * image.channelStride + n * image.strides[a] + m * image.strides[b];
          fillLine(image.data, first, image.strides[axis], whole[axis], start[axis], shape[axis], statistic);
        }
      }
    }
  }
}

function fillLine(
  data: KernelArray,
  first: number,
  step: number,
  length: number,
  start: number,
  size: number,
  statistic: PadStatistic,
): void {
  let found = data[first + start * step] as number;
  for (let n = start + 1; n < start + size; n++) {
    const value = data[first + n * step] as number;
    if (statistic === 'mean') found += value;
    else if (statistic === 'minimum' ? value < found : value > found) found = value;
  }
  if (statistic === 'mean') found /= size;
  for (let n = 0; n < start; n++) data[first + n * step] = found;
  for (let n = start + size; n < length; n++) data[first + n * step] = found;
}
