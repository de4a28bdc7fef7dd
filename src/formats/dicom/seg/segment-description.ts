import { type Code, codeItem } from '../code-item.ts';
import { DicomDataset } from '../dataset.ts';
import { asLo } from '../provenance-modules.ts';
import { tags } from '../tags.ts';

/** One segment of a result. */
export interface SegmentDescription {
  /** Label value in the grid (of overlapping masks: its number in their order). */
  readonly value: number;
  readonly label: string;
  /** Segmented property category, CID 7150. */
  readonly category: Code;
  /** Segmented property type, CID 7151. */
  readonly propertyType: Code;
  readonly algorithmName: string;
  readonly algorithmVersion: string;
  /** Colour for viewers, sRGB 0 to 255; default: one of a fixed row by number. */
  readonly rgb?: readonly [number, number, number];
}

/** Colours that are easy to tell apart, in sRGB, taken in turn. */
const palette: readonly (readonly [number, number, number])[] = [
  [230, 60, 50],
  [60, 180, 75],
  [255, 205, 25],
  [0, 130, 200],
  [245, 130, 48],
  [145, 30, 180],
  [70, 240, 240],
  [240, 50, 230],
  [170, 220, 60],
  [250, 160, 170],
  [0, 150, 140],
  [190, 150, 250],
];

/** Colour of the n-th segment (1-based) where it names none itself. */
export const segmentColour = (segmentNumber: number): readonly [number, number, number] =>
  palette[(segmentNumber - 1) % palette.length] as readonly [number, number, number];

/** sRGB as the scaled CIELab of PS3.3 C.10.7.1.1 (D50 white, Bradford-adapted). */
export function cielabValue(rgb: readonly [number, number, number]): [number, number, number] {
  const [r, g, b] = rgb.map((channel) => {
    const c = channel / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  const x = (0.4360747 * r + 0.3850649 * g + 0.1430804 * b) / 0.9642;
  const y = 0.2225045 * r + 0.7168786 * g + 0.0606169 * b;
  const z = (0.0139322 * r + 0.0971045 * g + 0.7141733 * b) / 0.8251;
  const f = (t: number) => (t > 216 / 24_389 ? Math.cbrt(t) : (t * 24_389) / 27 / 116 + 16 / 116);
  const lightness = 116 * f(y) - 16;
  const scaleAb = (value: number) => Math.round(Math.min(255, Math.max(0, value + 128)) * (65_535 / 255));
  return [
    Math.round(Math.min(100, Math.max(0, lightness)) * (65_535 / 100)),
    scaleAb(500 * (f(x) - f(y))),
    scaleAb(200 * (f(y) - f(z))),
  ];
}

/** Item of SegmentSequence (PS3.3 C.8.20.4). */
export function segmentItem(segment: SegmentDescription, segmentNumber: number): DicomDataset {
  const algorithm = new DicomDataset()
    .set(tags.AlgorithmFamilyCodeSequence, 'SQ', codeItem(['123110', 'DCM', 'Artificial Intelligence']))
    .set(tags.AlgorithmName, 'LO', asLo(segment.algorithmName))
    .set(tags.AlgorithmVersion, 'LO', asLo(segment.algorithmVersion));
  return new DicomDataset()
    .set(tags.SegmentNumber, 'US', segmentNumber)
    .set(tags.SegmentLabel, 'LO', asLo(segment.label))
    .set(tags.SegmentAlgorithmType, 'CS', 'AUTOMATIC')
    .set(tags.SegmentAlgorithmName, 'LO', asLo(segment.algorithmName))
    .set(tags.SegmentationAlgorithmIdentificationSequence, 'SQ', algorithm)
    .set(tags.SegmentedPropertyCategoryCodeSequence, 'SQ', codeItem(segment.category))
    .set(tags.SegmentedPropertyTypeCodeSequence, 'SQ', codeItem(segment.propertyType))
    .set(tags.RecommendedDisplayCIELabValue, 'US', ...cielabValue(segment.rgb ?? segmentColour(segmentNumber)));
}
