import { EndpointError } from '../../errors.ts';
import { DicomDataset, type ElementValue, type Tag } from '../../formats/dicom/dataset.ts';
import { resolveVr, tagOf, tags, vrOf } from '../../formats/dicom/dictionary.ts';
import type { ResolutionLevel } from '../image-source.ts';

/** One frame of the metadata document: where to get it and what its decoded bytes must be. */
export interface FrameDescription {
  readonly id: string;
  /** CRC-32 of the decoded little-endian frame at full resolution; undefined where the document has none. */
  readonly decodedCrc32: number | undefined;
  readonly decodedBytes: number | undefined;
  /** All resolutions that the document lists, lowest first. */
  readonly decodedLevels: readonly ResolutionLevel[];
}

export interface DocumentInstance {
  readonly sopInstanceUid: string;
  readonly attributes: DicomDataset;
  readonly transferSyntaxUid: string;
  readonly frames: readonly FrameDescription[];
}

export interface DocumentSeries {
  readonly seriesInstanceUid: string;
  readonly instances: readonly DocumentInstance[];
}

type Json = Readonly<Record<string, unknown>>;

/** What a data store holds when an instance does not say: lossless HTJ2K RPCL (field-facts §1.4). */
const storageFormat = '1.2.840.10008.1.2.4.202';

const binaryVrs = new Set(['OB', 'OW', 'OF', 'OD', 'OL', 'OV', 'UN']);
const numberVrs = new Set(['US', 'SS', 'UL', 'SL', 'FL', 'FD', 'AT', 'SV', 'UV']);
/** JSON has no numbers for these: they come as text. */
const notFinite = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

/**
 * Reads a HealthImaging metadata document (SchemaVersion 1.1, after gunzip): patient, study, series and instance
 * attributes are merged into one data set an instance. File meta and pixel data are left out.
 *
 * @throws EndpointError `upstream_failed` when the document has not the shape of one
 */
export function parseMetadataDocument(document: unknown): DocumentSeries[] {
  const root = object(document, 'document');
  const study = object(root.Study, 'Study');
  const shared = [object(root.Patient ?? {}, 'Patient'), study].map((level) => object(level.DICOM ?? {}, 'DICOM'));
  const sharedVrs = [root.Patient, study].map((level) =>
    object((level as Json | undefined)?.DICOMVRs ?? {}, 'DICOMVRs'),
  );
  return Object.entries(object(study.Series, 'Study.Series')).map(([seriesInstanceUid, value]) => {
    const series = object(value, 'Series');
    const levels = [...shared, object(series.DICOM ?? {}, 'Series.DICOM')];
    const vrs = Object.assign({}, ...sharedVrs, object(series.DICOMVRs ?? {}, 'Series.DICOMVRs')) as Json;
    const instances = Object.entries(object(series.Instances ?? {}, 'Instances')).map(([sopInstanceUid, given]) =>
      parseInstance(
        sopInstanceUid,
        object(given, 'Instance'),
        [{ SeriesInstanceUID: seriesInstanceUid }, ...levels],
        vrs,
      ),
    );
    return { seriesInstanceUid, instances };
  });
}

function parseInstance(sopInstanceUid: string, instance: Json, levels: readonly Json[], vrs: Json): DocumentInstance {
  const own = object(instance.DICOM, 'Instance.DICOM');
  const ownVrs = { ...vrs, ...object(instance.DICOMVRs ?? {}, 'Instance.DICOMVRs') };
  // The keys of the tree name series and instance also where the attributes do not repeat them.
  const merged = Object.assign({ SOPInstanceUID: sopInstanceUid }, ...levels, own) as Json;
  const signed = merged.PixelRepresentation === 1 ? 1 : 0;
  const frames = instance.ImageFrames ?? [];
  if (!Array.isArray(frames)) throw malformed('ImageFrames is no list');
  const syntax = instance.StoredTransferSyntaxUID ?? storageFormat;
  if (typeof syntax !== 'string') throw malformed('StoredTransferSyntaxUID is no text');
  return {
    sopInstanceUid,
    attributes: parseLevel(merged, ownVrs, signed, 0),
    transferSyntaxUid: syntax.trim() || storageFormat,
    frames: frames.map((frame) => parseFrame(object(frame, 'ImageFrame'))),
  };
}

function parseFrame(frame: Json): FrameDescription {
  if (typeof frame.ID !== 'string' || frame.ID === '') throw malformed('an image frame has no ID');
  const levels = frame.PixelDataChecksumFromBaseToFullResolution;
  const last = Array.isArray(levels) && levels.length > 0 ? object(levels.at(-1), 'checksum') : undefined;
  return {
    id: frame.ID,
    decodedCrc32: wholeNumber(last?.Checksum),
    decodedBytes: wholeNumber(frame.FrameSizeInBytes),
    decodedLevels: Array.isArray(levels) ? levels.flatMap(parseResolution) : [],
  };
}

function parseResolution(given: unknown): ResolutionLevel[] {
  const { Width, Height, Checksum } = object(given, 'checksum');
  const [width, height, crc32] = [Width, Height, Checksum].map(wholeNumber);
  return width === undefined || height === undefined || crc32 === undefined ? [] : [{ width, height, crc32 }];
}

/** One level of attributes (keywords, or eight hex digits for private ones) as a data set. */
function parseLevel(level: Json, vrs: Json, around: number, depth: number): DicomDataset {
  if (depth > 32) throw malformed('its sequences are nested too deeply');
  const dataset = new DicomDataset();
  const own = level.PixelRepresentation;
  const pixelRepresentation = own === 0 || own === 1 ? own : around;
  for (const [key, value] of Object.entries(level)) {
    const tag = tagOfKey(key);
    if (tag === undefined || (depth === 0 && (tag >>> 16 === 2 || tag === tags.PixelData))) continue;
    const told = vrs[key];
    const vr =
      typeof told === 'string' && /^[A-Z]{2}$/.test(told)
        ? fittingVr(told, value)
        : resolveVr(vrOf(tag) ?? 'UN', pixelRepresentation);
    dataset.set(tag, vr, ...parseValues(value, vr, vrs, pixelRepresentation, depth));
  }
  return dataset;
}

/**
 * DICOMVRs names a VR for all levels of an instance at once, though a private element may be a sequence in one and not
 * in another: what the value itself shows then counts.
 */
function fittingVr(vr: string, value: unknown): string {
  const list: unknown[] = Array.isArray(value) ? value : [value];
  const isSequence =
    Array.isArray(value) && list.length > 0 && list.every((one) => typeof one === 'object' && one !== null);
  if (isSequence) return 'SQ';
  const isText = list.length > 0 && list.every((one) => typeof one === 'string');
  if (vr !== 'SQ' || !isText) return vr;
  return list.every((one) => isBase64(one as string)) ? 'UN' : 'LO';
}

const isBase64 = (text: string): boolean => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);

function tagOfKey(key: string): Tag | undefined {
  return /^[0-9A-Fa-f]{8}$/.test(key) ? Number.parseInt(key, 16) : tagOf(key);
}

function parseValues(value: unknown, vr: string, vrs: Json, signed: number, depth: number): ElementValue[] {
  if (value === null || value === undefined) return [];
  const list = Array.isArray(value) ? value : [value];
  if (vr === 'SQ') return list.map((item) => parseLevel(object(item ?? {}, 'sequence item'), vrs, signed, depth + 1));
  if (binaryVrs.has(vr)) {
    return list.filter((one): one is string => typeof one === 'string').map((one) => Buffer.from(one, 'base64'));
  }
  // An empty value among others keeps its place, where its VR can hold one.
  if (!numberVrs.has(vr)) return list.map((one) => (one === null ? '' : parseScalar(one, vr)));
  return list.filter((one) => one !== null).map((one) => parseScalar(one, vr));
}

function parseScalar(value: unknown, vr: string): ElementValue {
  if (typeof value === 'number') return numberVrs.has(vr) ? value : String(value);
  if (typeof value !== 'string') throw malformed('a value is neither text nor a number');
  if (numberVrs.has(vr)) {
    const text = value.trim();
    if ((vr === 'SV' || vr === 'UV') && /^-?\d{1,20}$/.test(text)) return BigInt(text);
    if ((vr === 'FL' || vr === 'FD') && notFinite.has(text)) return notFinite.get(text) as number;
    const number = vr === 'AT' ? Number.parseInt(text.replace(/[(),]/g, ''), 16) : Number(text);
    if (text === '' || !Number.isFinite(number)) throw malformed('a binary number is not one');
    return number;
  }
  return vr === 'DS' || vr === 'IS' ? value.trim() : value.replace(/[ \0]+$/, '');
}

function wholeNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined;
}

function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(`${what} is no object`);
  return value as Json;
}

function malformed(reason: string): EndpointError {
  return new EndpointError('upstream_failed', `The metadata document of the image set cannot be used: ${reason}.`);
}
