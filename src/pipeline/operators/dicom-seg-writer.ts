import type { MapOutput } from '../../api/map-json.ts';
import { EndpointError } from '../../errors.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import { writeSegmentation } from '../../formats/dicom/seg-writer.ts';
import { programVersion } from '../../version.ts';
import type { OutputFile } from '../imaging-job.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import type { Segmentation } from '../segmentation.ts';
import { derivedUid } from '../uids.ts';
import type { ModelIdentity } from './json-writer.ts';
import type { SourceImage } from './series-to-volume.ts';
import type { SourceSlice } from './source-slices.ts';

interface Inputs {
  readonly image: SourceImage;
  readonly segmentation: Segmentation;
}

export interface DicomSegWriterOptions {
  readonly output: Pick<MapOutput, 'seriesDescription' | 'algorithm'>;
  readonly model: ModelIdentity;
  /** Seed of the UIDs: the same request gives the same ones. */
  readonly uidSeed: string;
}

/** Results of one study are told apart from its images by their series number. */
const seriesNumber = 9001;
const defaultDescription = 'AI segmentation, not for clinical use';
const equipment = {
  manufacturer: 'map-endpoint',
  modelName: 'map-endpoint',
  serialNumber: '0',
  softwareVersions: programVersion,
} as const;

/** Writes the segmentation as DICOM SEG on the source's own slices (`DICOMSegmentationWriterOperator`). */
export class DicomSegWriter implements Operator<Inputs, { file: OutputFile }> {
  readonly name = 'dicom_seg_writer';
  readonly #options: DicomSegWriterOptions;

  constructor(options: DicomSegWriterOptions) {
    this.#options = options;
  }

  compute({ image, segmentation }: Inputs, context: ExecutionContext): Promise<{ file: OutputFile }> {
    return context.clock.time('write', () => {
      if (!image.slices) throw new EndpointError('internal', 'A DICOM SEG needs DICOM slices.');
      return { file: this.#write(image.slices, segmentation, context) };
    });
  }

  #write(slices: readonly SourceSlice[], segmentation: Segmentation, context: ExecutionContext): OutputFile {
    const { output, model, uidSeed } = this.#options;
    const [columns, rows] = segmentation.shape;
    const algorithm = output.algorithm ?? model;
    const { date, time } = dicomNow();
    const written = writeSegmentation({
      sources: slices.map(({ instance, frameIndex }) => ({
        attributes: instance.attributes,
        frameNumber: instance.numberOfFrames > 1 ? frameIndex + 1 : undefined,
      })),
      columns,
      rows,
      grid:
        segmentation.kind === 'labelmap'
          ? { kind: 'labels', data: segmentation.labels }
          : { kind: 'masks', masks: segmentation.masks },
      segments: segmentation.segments.map((segment) => ({
        ...segment,
        algorithmName: algorithm.name,
        algorithmVersion: algorithm.version,
      })),
      uids: {
        seriesInstanceUid: derivedUid(uidSeed, 'dicom-seg series'),
        sopInstanceUid: derivedUid(uidSeed, 'dicom-seg instance'),
        dimensionOrganizationUid: derivedUid(uidSeed, 'dicom-seg dimensions'),
      },
      seriesDescription: output.seriesDescription ?? defaultDescription,
      seriesNumber,
      contentDate: date,
      contentTime: time,
      equipment,
      model,
    });
    for (const number of written.emptySegments) {
      context.warn(`Segment ${number} (${segmentation.segments[number - 1]?.label}) was not found in the image.`);
    }
    const { bytes, sopInstanceUid } = written;
    return { type: 'dicom-seg', fileName: 'dicom-seg.dcm', contentType: 'application/dicom', bytes, sopInstanceUid };
  }
}

/** True when slices name all that a DICOM result must refer to; anonymisers empty these. */
export function canBeReferred(slices: readonly SourceSlice[]): boolean {
  const needed = [
    tags.StudyInstanceUID,
    tags.SeriesInstanceUID,
    tags.SOPInstanceUID,
    tags.SOPClassUID,
    tags.FrameOfReferenceUID,
  ];
  return slices.every(({ instance }) => needed.every((tag) => instance.attributes.string(tag) !== undefined));
}

/** The machine's local time as DA and TM. */
function dicomNow(): { date: string; time: string } {
  const now = new Date();
  const two = (value: number) => String(value).padStart(2, '0');
  return {
    date: `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`,
    time: `${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`,
  };
}
