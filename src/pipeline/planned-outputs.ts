import type { MapJson, MapOutput } from '../api/map-json.ts';
import { EndpointError } from '../errors.ts';

/** Kinds of output that are written today. */
const writable = ['dicom-seg', 'nifti', 'json', 'png'] as const;
export type OutputType = (typeof writable)[number];

/** One output to write. */
export interface PlannedOutput extends Pick<MapOutput, 'seriesDescription' | 'algorithm'> {
  readonly type: OutputType;
}

/**
 * Checks that every output that `map.json` asks for can be written: at load, not at the first request.
 *
 * @throws EndpointError `unsupported_bundle`
 */
export function checkOutputs(mapJson: MapJson): void {
  for (const { type, segmentType } of mapJson.outputs ?? []) {
    if (!isWritable(type)) {
      throw refused(`asks for an output of type ${type}, which is not written yet. Written are ${writable.join(', ')}`);
    }
    if (type === 'dicom-seg' && segmentType !== 'BINARY') {
      throw refused(`asks for a SEG of type ${segmentType}, which is not written yet; BINARY is`);
    }
  }
  const types = (mapJson.outputs ?? []).map(({ type }) => type);
  if (new Set(types).size !== types.length) throw refused('asks twice for an output of the same type');
}

/**
 * Checks that `map.json` asks for nothing that figures of classes, or boxes, cannot be written as.
 *
 * @throws EndpointError `unsupported_bundle`
 */
export function checkFindingsOutputs(mapJson: MapJson): void {
  const other = (mapJson.outputs ?? []).find(({ type }) => type !== 'json');
  if (other)
    throw refused(
      `asks for an output of type ${other.type}; a model that classifies or finds boxes is written as json`,
    );
}

/**
 * What is written for a request: what `map.json` asks for; else SEG and JSON for DICOM, NIfTI and JSON for a NIfTI
 * image (design §3). Where a SEG cannot be, a NIfTI label map takes its place.
 *
 * @param source - `dicom`; `dicom-without-uids`: nothing can refer to it; `picture`: it has no place in
 *   the patient; `volume`: no DICOM at all
 * @param warn - told when the SEG is replaced although it was asked for, or expected
 */
export function planOutputs(
  mapJson: MapJson,
  source: 'dicom' | 'dicom-without-uids' | 'picture' | 'volume',
  warn: (message: string) => void,
): PlannedOutput[] {
  checkOutputs(mapJson);
  const asked = (mapJson.outputs as readonly PlannedOutput[] | undefined) ?? [{ type: 'dicom-seg' }, { type: 'json' }];
  if (source === 'dicom') return [...asked];
  const isSegAsked = asked.some(({ type }) => type === 'dicom-seg');
  if (isSegAsked && (mapJson.outputs || source !== 'volume')) {
    const reason = reasons[source];
    warn(`No DICOM SEG was written, since the input ${reason}; a NIfTI label map takes its place.`);
  }
  const kept = asked.filter(({ type }) => type !== 'dicom-seg');
  return isSegAsked && !kept.some(({ type }) => type === 'nifti') ? [{ type: 'nifti' }, ...kept] : kept;
}

/** Why no SEG can be written. */
const reasons = {
  volume: 'is no DICOM',
  picture: 'is a picture without a place in the patient',
  'dicom-without-uids': 'has empty UIDs (study, series or frame of reference)',
} as const;

const isWritable = (type: string): type is OutputType => (writable as readonly string[]).includes(type);

function refused(reason: string): EndpointError {
  return new EndpointError('unsupported_bundle', `map.json ${reason}.`);
}
