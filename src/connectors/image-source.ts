import type { DicomDataset } from '../formats/dicom/dataset.ts';
import type { Volume } from '../imaging/volume.ts';
import type { FrameMemory } from './frame-memory.ts';

/** One frame as it is stored, still encoded, with what is needed to check its decoded bytes. */
export interface EncodedFrame {
  readonly bytes: Uint8Array;
  /** Transfer syntax of `bytes` (for native syntaxes: raw little-endian pixels of this frame alone). */
  readonly transferSyntaxUid: string;
  /** CRC-32 of the decoded little-endian frame at full resolution, where the store tells it (HealthImaging). */
  readonly decodedCrc32?: number;
  /** Length in bytes of the decoded frame, where the store tells it. */
  readonly decodedBytes?: number;
  /** The decoded resolutions of which the store tells the CRC-32, lowest first. */
  readonly decodedLevels?: readonly ResolutionLevel[];
}

/** One of the resolutions that a frame can be decoded at. */
export interface ResolutionLevel {
  readonly width: number;
  readonly height: number;
  readonly crc32: number;
}

/** One SOP instance of a series, with frames that can be fetched one by one. */
export interface SourceInstance {
  /** All attributes but the pixel data. */
  readonly attributes: DicomDataset;
  readonly numberOfFrames: number;
  /**
   * Fetches one frame (0-based). Safe to call concurrently, in any order.
   *
   * @param memory - where the source may put the frame, which is then valid until the memory is given to another call
   * @throws EndpointError `input_not_found`, `upstream_failed`, `unprocessable_image`, `deadline_exceeded`
   */
  readFrame(index: number, signal: AbortSignal, memory?: FrameMemory): Promise<EncodedFrame>;
}

export interface SourceSeries {
  readonly seriesInstanceUid: string;
  readonly instances: readonly SourceInstance[];
}

/**
 * What an input turned out to be: DICOM series, or an image that already is a volume. A colour image has a volume for each
 * of its channels, of which `volume` is the first.
 */
export type LoadedInput =
  | { readonly kind: 'dicom'; readonly series: readonly SourceSeries[] }
  | { readonly kind: 'volume'; readonly volume: Volume; readonly channels?: readonly Volume[] | undefined };

/** Where an input of a request lies (the wire form, parsed), or the request's own body on disk. */
export type InputReference =
  | { readonly datastoreId: string; readonly imageSetId: string; readonly seriesInstanceUid?: string | undefined }
  | { readonly uri: string; readonly seriesInstanceUid?: string | undefined }
  | {
      /** Root of a DICOMweb server. */
      readonly dicomweb: string;
      readonly studyInstanceUid: string;
      readonly seriesInstanceUid?: string | undefined;
    }
  | { readonly body: { readonly path: string; readonly contentType: string } };

/**
 * Port: reads images from one kind of place. Implementations: HealthImaging, S3, a folder, DICOMweb, a request body; all pass
 * the same contract suite.
 */
export interface ImageSource {
  /** True when this source is the one for the reference. */
  accepts(reference: InputReference): boolean;
  /**
   * Opens the input: reads its metadata; frames follow on demand.
   *
   * @param scratchDir - folder of this request, for spooled files; it is removed with the request
   * @throws EndpointError `input_not_found`, `forbidden`, `upstream_failed`, `unprocessable_image`, `unsupported_media_type`
   */
  open(reference: InputReference, options: { signal: AbortSignal; scratchDir: string }): Promise<LoadedInput>;
}
