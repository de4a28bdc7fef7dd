import { keywordOf } from '../../formats/dicom/dictionary.ts';

/**
 * Which attributes the metadata document holds at the patient, study and series level; all others are an instance's
 * own. From the HealthImaging developer guide, "Metadata normalization" (DICOM PS3.3 modules Patient, Clinical Trial
 * Subject; General Study, Patient Study, Clinical Trial Study; General Series, Clinical Trial Series, General
 * Equipment, Frame of Reference).
 */
export type MetadataLevel = 'patient' | 'study' | 'series' | 'instance';

const patient = [
  0x00100010, 0x00100020, 0x00100021, 0x00100024, 0x00100022, 0x00100030, 0x00100033, 0x00100034, 0x00100035,
  0x00100040, 0x00101100, 0x00100200, 0x00081120, 0x00100032, 0x00101002, 0x00101001, 0x00102160, 0x00104000,
  0x00102201, 0x00102202, 0x00102292, 0x00102293, 0x00102294, 0x00100212, 0x00100213, 0x00100219, 0x00100218,
  0x00100216, 0x00100221, 0x00102297, 0x00102298, 0x00102299, 0x00120062, 0x00120063, 0x00120064, 0x00100026,
  0x00100027, 0x00120010, 0x00120020, 0x00120021, 0x00120030, 0x00120031, 0x00120040, 0x00120042, 0x00120081,
  0x00120082,
];

const study = [
  0x0020000d, 0x00080020, 0x00080030, 0x00080090, 0x00080096, 0x0008009c, 0x0008009d, 0x00200010, 0x00080050,
  0x00080051, 0x00081030, 0x00081048, 0x00081049, 0x00081060, 0x00081062, 0x00321033, 0x00321034, 0x00081110,
  0x00081032, 0x00401012, 0x00081080, 0x00081084, 0x00101010, 0x00101020, 0x00101030, 0x00101022, 0x00101023,
  0x00101024, 0x00101021, 0x00102000, 0x00102110, 0x001021a0, 0x001021c0, 0x001021d0, 0x00380500, 0x00102180,
  0x001021b0, 0x00380010, 0x00380014, 0x00321066, 0x00321067, 0x00380060, 0x00380064, 0x00380062, 0x00102203,
  0x00120050, 0x00120051, 0x00120052, 0x00120053, 0x00120083,
];

const series = [
  0x00080060, 0x0020000e, 0x00200011, 0x00200060, 0x00080021, 0x00080031, 0x00081050, 0x00081052, 0x00181030,
  0x0008103e, 0x0008103f, 0x00081070, 0x00081072, 0x00081111, 0x00081250, 0x00180015, 0x00185100, 0x00280108,
  0x00280109, 0x00400275, 0x00102210, 0x300a0700, 0x00120060, 0x00120071, 0x00120072, 0x00080070, 0x00080080,
  0x00080081, 0x00081010, 0x00081040, 0x00081041, 0x00081090, 0x0018100b, 0x00181000, 0x00181020, 0x00181008,
  0x0018100a, 0x00181002, 0x00181050, 0x00181200, 0x00181201, 0x00280120, 0x00200052, 0x00201040,
];

const levels = new Map<number, MetadataLevel>([
  ...patient.map((tag) => [tag, 'patient'] as const),
  ...study.map((tag) => [tag, 'study'] as const),
  ...series.map((tag) => [tag, 'series'] as const),
]);

/** Level of a top-level attribute. */
export const levelOf = (tag: number): MetadataLevel => levels.get(tag) ?? 'instance';

let seriesKeywords: ReadonlySet<string> | undefined;

/** True for keywords of the series level. */
export function isSeriesKeyword(keyword: string): boolean {
  seriesKeywords ??= new Set(series.map((tag) => keywordOf(tag)).filter((name) => name !== undefined));
  return seriesKeywords.has(keyword);
}
