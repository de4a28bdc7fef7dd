import { EndpointError } from '../../errors.ts';
import { type MemoryOrder, type StridedImage, stridedOver } from '../../imaging/strided-image.ts';
import { type Shape3, voxelCount } from '../../imaging/volume.ts';

/** Typed arrays that kernels write. */
export type KernelArray = Float32Array | Uint8Array | Uint16Array;

/** Element types of results: `float32`, or whole numbers that fit. */
export type KernelType = 'float32' | 'uint8' | 'uint16';

const makers = {
  float32: (length: number) => new Float32Array(new SharedArrayBuffer(length * 4)),
  uint8: (length: number) => new Uint8Array(new SharedArrayBuffer(length)),
  uint16: (length: number) => new Uint16Array(new SharedArrayBuffer(length * 2)),
};

/**
 * A zeroed image in shared memory.
 *
 * @throws EndpointError `unprocessable_image` when there can be no such array
 */
export function sharedImage<T extends KernelType>(
  type: T,
  channels: number,
  shape: Shape3,
  order: MemoryOrder,
): StridedImage<ReturnType<(typeof makers)[T]>> {
  return stridedOver(allocated(type, channels, shape), channels, shape, order);
}

function allocated<T extends KernelType>(type: T, channels: number, shape: Shape3): ReturnType<(typeof makers)[T]> {
  try {
    return makers[type](channels * voxelCount(shape)) as ReturnType<(typeof makers)[T]>;
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause;
    const size = `${channels} × ${shape.join(' × ')}`;
    throw new EndpointError('unprocessable_image', `The bundle makes an image of ${size} voxels: too large.`, {
      cause,
    });
  }
}
