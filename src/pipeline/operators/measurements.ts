import type { SegmentMeasurement } from '../../api/invocation.ts';
import { type Segmentation, voxelVolumeMm3 } from '../segmentation.ts';

/** Counts the voxels of each segment; the volume is that of the grid's voxels (1 ml = 1,000 mm³). */
export function measureSegments(segmentation: Segmentation): SegmentMeasurement[] {
  const voxelMl = voxelVolumeMm3(segmentation.affineRas) / 1000;
  const counts = countVoxels(segmentation);
  return segmentation.segments.map(({ label, value }, index) => {
    const voxels = counts[index] as number;
    // Six digits: finer than any voxel grid is true to, and free of binary noise.
    return { segment: label, value, voxels, volumeMl: Number((voxels * voxelMl).toPrecision(6)) };
  });
}

function countVoxels(segmentation: Segmentation): number[] {
  if (segmentation.kind === 'masks') {
    return segmentation.masks.map((mask) => mask.reduce((sum, value) => sum + value, 0));
  }
  const histogram = new Float64Array(65_536);
  const { labels } = segmentation;
  for (let at = 0; at < labels.length; at++) (histogram[labels[at] as number] as number)++;
  return segmentation.segments.map(({ value }) => histogram[value] as number);
}
