import type { DicomDataset, Tag } from './dataset.ts';
import { formatDs } from './decimal-string.ts';
import { tags } from './tags.ts';
import { unprocessable } from './unprocessable.ts';

/** Place of a slice in the patient as its source writes it: DS strings, digit for digit (PS3.3 C.7.6.2). */
export interface SlicePlane {
  /** x, y, z of the first pixel's centre, mm, LPS. */
  readonly position: readonly string[];
  /** Cosines of the row, then of the column. */
  readonly orientation: readonly string[];
  /** Distance of rows, then of columns, mm. */
  readonly pixelSpacing: readonly string[];
  readonly sliceThickness: string | undefined;
}

/** A DS value that may stand in a new object: the received one, or the nearest that fits in 16 characters. */
const asDs = (text: string): string => (text.length <= 16 ? text : formatDs(Number(text)));

/**
 * Reads the plane of a single-frame instance, or of one frame of an enhanced multi-frame one (PS3.3 C.7.6.16).
 *
 * @param frameNumber - 1-based; undefined for a single-frame instance
 * @throws EndpointError `unprocessable_image` when position, orientation or spacing is missing or no number
 */
export function slicePlane(attributes: DicomDataset, frameNumber: number | undefined): SlicePlane {
  const perFrame = attributes.items(tags.PerFrameFunctionalGroupsSequence)[(frameNumber ?? 1) - 1];
  const shared = attributes.items(tags.SharedFunctionalGroupsSequence)[0];
  const group = (tag: Tag) => perFrame?.items(tag)[0] ?? shared?.items(tag)[0] ?? attributes;
  const strings = (groupTag: Tag, tag: Tag, count: number, name: string): string[] => {
    const source = group(groupTag);
    const numbers = source.numbers(tag);
    if (numbers?.length !== count) throw unprocessable(`A source slice has no usable ${name}.`);
    return source.strings(tag).map(asDs);
  };
  const measures = group(tags.PixelMeasuresSequence);
  const thickness = measures.number(tags.SliceThickness);
  return {
    position: strings(tags.PlanePositionSequence, tags.ImagePositionPatient, 3, 'ImagePositionPatient'),
    orientation: strings(tags.PlaneOrientationSequence, tags.ImageOrientationPatient, 6, 'ImageOrientationPatient'),
    pixelSpacing: strings(tags.PixelMeasuresSequence, tags.PixelSpacing, 2, 'PixelSpacing'),
    sliceThickness:
      thickness !== undefined && thickness > 0 ? asDs(measures.string(tags.SliceThickness) as string) : undefined,
  };
}

/** Distance of two parallel planes along their normal, mm. */
export function planeDistanceMm(a: SlicePlane, b: SlicePlane): number {
  const [rx, ry, rz, cx, cy, cz] = a.orientation.map(Number) as [number, number, number, number, number, number];
  const normal = [ry * cz - rz * cy, rz * cx - rx * cz, rx * cy - ry * cx];
  const distance = normal.reduce((sum, n, axis) => sum + n * (Number(b.position[axis]) - Number(a.position[axis])), 0);
  return Math.abs(distance);
}
