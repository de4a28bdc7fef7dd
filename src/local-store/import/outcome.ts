import type { DicomTags } from '../records.ts';

/** One received file as a data-set tree without its pixels, and where its frames lie in its blob. */
export interface StagedInstance {
  readonly studyInstanceUid: string;
  readonly seriesInstanceUid: string;
  readonly sopInstanceUid: string;
  readonly sopClassUid: string;
  /** What is wrong with the file but did not keep it out. */
  readonly warnings?: readonly ImportWarning[] | undefined;
  /** Attributes of the patient and study level: small, and what decides about grouping. */
  readonly patient: JsonAttributes;
  readonly study: JsonAttributes;
  readonly identityDigest: string;
}

/** The rest of an instance, in a file of its own (`{number}.json`): read only when its document is made. */
export interface StagedInstanceFile {
  readonly series: JsonAttributes;
  readonly instance: JsonAttributes;
  readonly vrs: Readonly<Record<string, string>>;
  /** Set where the frames are not in the data store's own format. */
  readonly storedTransferSyntaxUid: string | undefined;
  readonly frames: readonly StagedFrame[];
}

export interface StagedFrame {
  readonly offset: number;
  readonly lengthBytes: number;
  /** As it stands in the document. */
  readonly entry: ImageFrameEntry;
}

/** `ImageFrames[]` of the metadata document. */
export interface ImageFrameEntry {
  readonly ID: string;
  /** CRC-32 of the decoded little-endian pixels at each resolution, lowest first, full size last. */
  readonly PixelDataChecksumFromBaseToFullResolution: readonly ResolutionChecksum[];
  readonly MinPixelValue: number;
  readonly MaxPixelValue: number;
  /** Bytes of the decoded frame. */
  readonly FrameSizeInBytes: number;
}

export interface ResolutionChecksum {
  readonly Width: number;
  readonly Height: number;
  readonly Checksum: number;
}

export type JsonValue = string | number | null | readonly JsonValue[] | JsonAttributes;
export interface JsonAttributes {
  readonly [keyword: string]: JsonValue;
}

/** A line's entry in `warning.ndjson`; the reason code is one of (0008,1196). */
export interface ImportWarning {
  readonly code: number;
  readonly type: string;
  readonly message: string;
}

/** What became of one file. */
export type FileOutcome =
  | { readonly kind: 'staged'; readonly instance: StagedInstance }
  | { readonly kind: 'failed'; readonly exceptionType: 'ValidationException'; readonly message: string }
  | DiskFull;

/** Errors of a compute thread come back without their system code; a full disk must end the whole job. */
export interface DiskFull {
  readonly kind: 'disk-full';
}

/** What making a version's document found out. */
export interface AssembledVersion {
  readonly kind: 'assembled';
  readonly dicomTags: DicomTags;
}
