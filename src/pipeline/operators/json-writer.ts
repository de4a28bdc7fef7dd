import type { SegmentMeasurement } from '../../api/invocation.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import type { OutputFile } from '../imaging-job.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import type { Segmentation } from '../segmentation.ts';
import type { SourceImage } from './series-to-volume.ts';

interface Inputs {
  readonly image: SourceImage;
  readonly segmentation: Segmentation;
  readonly measurements: readonly SegmentMeasurement[];
}

/** Who made the result; the same in every kind of output. */
export interface ModelIdentity {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
}

/** Writes the measurements and the meaning of the labels as JSON. No patient data: it is read outside of PACS walls. */
export class JsonWriter implements Operator<Inputs, { file: OutputFile }> {
  readonly name = 'json_writer';
  readonly #model: ModelIdentity;
  readonly #inferenceId: string;

  constructor(model: ModelIdentity, inferenceId: string) {
    this.#model = model;
    this.#inferenceId = inferenceId;
  }

  compute({ image, segmentation, measurements }: Inputs, context: ExecutionContext): Promise<{ file: OutputFile }> {
    return context.clock.time('write', () => {
      const content = {
        model: this.#model,
        inferenceId: this.#inferenceId,
        seriesInstanceUid:
          (image.slices?.[0]?.instance ?? image.picture)?.attributes.string(tags.SeriesInstanceUID) ?? null,
        grid: { shape: segmentation.shape, affineRas: segmentation.affineRas },
        segments: segmentation.segments.map((segment, index) => ({
          ...segment,
          voxels: measurements[index]?.voxels,
          volumeMl: measurements[index]?.volumeMl,
        })),
      };
      const bytes = Buffer.from(`${JSON.stringify(content, undefined, 2)}\n`);
      return { file: { type: 'json', fileName: 'json.json', contentType: 'application/json', bytes } };
    });
  }
}
