import type { VoxelArray } from '../../imaging/volume.ts';

/** Lowest and highest value to show: the usual soft-tissue window for CT (HU), else from the 1st to the 99th percentile. */
export function displayWindow(modality: string | undefined, data: VoxelArray): [number, number] {
  if (modality === 'CT') return [-160, 240];
  // Every 97th voxel: enough for a picture, and prime to the usual row lengths.
  const sample = Float32Array.from(
    { length: Math.ceil(data.length / 97) },
    (_, index) => data[index * 97] as number,
  ).sort();
  const low = sample[Math.floor(sample.length * 0.01)] ?? 0;
  const high = sample[Math.min(sample.length - 1, Math.floor(sample.length * 0.99))] ?? 1;
  return high > low ? [low, high] : [low, low + 1];
}
