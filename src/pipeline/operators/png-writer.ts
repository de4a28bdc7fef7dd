import { tags } from '../../formats/dicom/dictionary.ts';
import { segmentColour } from '../../formats/dicom/seg/segment-description.ts';
import { renderOverview } from '../../formats/png/overview.ts';
import type { OutputFile } from '../imaging-job.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import type { Segmentation } from '../segmentation.ts';
import type { SourceImage } from './series-to-volume.ts';

interface Inputs {
  readonly image: SourceImage;
  readonly segmentation: Segmentation;
}

/** The usual soft-tissue window, in HU. */
const softTissue = { center: 40, width: 400 };

/** Writes an overview: axial, coronal and sagittal plane through the result, with its outlines. No patient data. */
export class PngWriter implements Operator<Inputs, { file: OutputFile }> {
  readonly name = 'png_writer';

  compute({ image, segmentation }: Inputs, context: ExecutionContext): Promise<{ file: OutputFile }> {
    return context.clock.time('write', () => {
      const modality = image.slices?.[0]?.instance.attributes.string(tags.Modality);
      const segments = segmentation.segments.map(({ value }, index) => ({
        ...(segmentation.kind === 'labelmap'
          ? { grid: segmentation.labels, value }
          : { grid: segmentation.masks[index] as Uint8Array, value: 1 }),
        rgb: segmentColour(index + 1),
      }));
      const bytes = renderOverview({
        image: image.volume,
        segments,
        ...(modality === 'CT' ? { window: softTissue } : {}),
      });
      return { file: { type: 'png', fileName: 'png.png', contentType: 'image/png', bytes } };
    });
  }
}
