import { EndpointError } from '../../errors.ts';
import type { DicomDataset } from '../../formats/dicom/dataset.ts';
import { readPart10 } from '../../formats/dicom/part10-reader.ts';
import { tags } from '../../formats/dicom/tags.ts';
import { flipLpsRas, invertAffine, transformPoint } from '../../imaging/affine.ts';
import type { Volume } from '../../imaging/volume.ts';

type Point = readonly [number, number, number];

/** How far a frame's pixel may lie from a voxel's centre, in voxels. */
const toleranceVoxels = 0.01;

/**
 * The voxels of one segment of a BINARY DICOM SEG on a grid, each found by its place in patient space: what a viewer
 * would show, whatever the order of the frames.
 *
 * @param file - a Part 10 file
 * @param grid - a volume whose grid the frames must lie on
 * @throws EndpointError `unprocessable_image` when a frame lies off the grid
 */
export function segmentMask(file: Uint8Array, grid: Volume, segmentNumber: number): Uint8Array {
  const seg = readPart10(file);
  const { dataset } = seg;
  const [rows, columns] = [dataset.number(tags.Rows) ?? 0, dataset.number(tags.Columns) ?? 0];
  const shared = dataset.items(tags.SharedFunctionalGroupsSequence)[0];
  const toGrid = flipLpsRas(grid.affineRas);
  const fromPatient = invertAffine(toGrid);
  const mask = new Uint8Array(grid.data.length);
  const [nx, ny, nz] = grid.shape;
  for (const [index, group] of dataset.items(tags.PerFrameFunctionalGroupsSequence).entries()) {
    const identification = group.items(tags.SegmentIdentificationSequence)[0];
    if (identification?.number(tags.ReferencedSegmentNumber) !== segmentNumber) continue;
    const plane = planeOf(group, shared);
    const origin = transformPoint(fromPatient, plane.position);
    const step = (vector: Point): Point => {
      const end = transformPoint(fromPatient, add(plane.position, vector));
      return [end[0] - origin[0], end[1] - origin[1], end[2] - origin[2]];
    };
    const [right, down] = [step(plane.columnStep), step(plane.rowStep)];
    const bits = seg.frame(index);
    for (let n = 0; n < rows * columns; n++) {
      if (((bits[n >> 3] as number) & (1 << (n & 7))) === 0) continue;
      const [row, column] = [Math.floor(n / columns), n % columns];
      const at = origin.map((value, axis) => value + column * (right[axis] ?? 0) + row * (down[axis] ?? 0));
      const [i, j, k] = at.map(Math.round) as [number, number, number];
      const off = Math.max(...at.map((value) => Math.abs(value - Math.round(value))));
      if (off > toleranceVoxels || i < 0 || j < 0 || k < 0 || i >= nx || j >= ny || k >= nz) {
        throw new EndpointError(
          'unprocessable_image',
          `Frame ${index + 1} of the segmentation lies off the image's grid.`,
        );
      }
      mask[i + nx * (j + ny * k)] = 1;
    }
  }
  return mask;
}

/** Dice's overlap of two masks: 1 when they are equal, 0 when they share nothing (also when both are empty). */
export function diceOverlap(a: Uint8Array, b: Uint8Array): number {
  let both = 0;
  let sum = 0;
  for (let n = 0; n < a.length; n++) {
    both += (a[n] as number) & (b[n] as number);
    sum += (a[n] as number) + (b[n] as number);
  }
  return sum === 0 ? 0 : (2 * both) / sum;
}

/** Place of a frame (LPS mm) and the way from one pixel to the next in its row and in its column (PS3.3 C.7.6.16.2). */
function planeOf(group: DicomDataset, shared: DicomDataset | undefined) {
  const find = (sequence: number): DicomDataset | undefined => group.items(sequence)[0] ?? shared?.items(sequence)[0];
  const position = find(tags.PlanePositionSequence)?.numbers(tags.ImagePositionPatient);
  const orientation = find(tags.PlaneOrientationSequence)?.numbers(tags.ImageOrientationPatient);
  const spacing = find(tags.PixelMeasuresSequence)?.numbers(tags.PixelSpacing);
  if (position?.length !== 3 || orientation?.length !== 6 || spacing?.length !== 2) {
    throw new EndpointError('unprocessable_image', 'The segmentation does not tell where its frames lie.');
  }
  const [betweenRowsMm, betweenColumnsMm] = spacing as [number, number];
  return {
    position: position as unknown as Point,
    columnStep: scale(orientation.slice(0, 3), betweenColumnsMm),
    rowStep: scale(orientation.slice(3), betweenRowsMm),
  };
}

const add = (a: Point, b: Point): Point => [a[0] + b[0], a[1] + b[1], a[2] + b[2]];
const scale = (a: readonly number[], by: number): Point => [
  (a[0] as number) * by,
  (a[1] as number) * by,
  (a[2] as number) * by,
];
