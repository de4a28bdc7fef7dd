import { encode } from 'fast-png';
import { tags } from '../../formats/dicom/dictionary.ts';
import type { OutputFile } from '../imaging-job.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import type { Segmentation } from '../segmentation.ts';
import { displayWindow } from './display-window.ts';
import { drawOverview } from './overview-image.ts';
import type { SourceImage } from './series-to-volume.ts';

interface Inputs {
  readonly image: SourceImage;
  readonly segmentation: Segmentation;
}

/** Writes an overview: axial, coronal and sagittal plane through the result, with its outlines. No text, no patient data. */
export class PngWriter implements Operator<Inputs, { file: OutputFile }> {
  readonly name = 'png_writer';

  compute({ image, segmentation }: Inputs, context: ExecutionContext): Promise<{ file: OutputFile }> {
    return context.clock.time('write', () => {
      const modality = image.slices?.[0]?.instance.attributes.string(tags.Modality);
      const window = displayWindow(modality, image.volume.data);
      const bytes = encode({ ...drawOverview(image.volume, segmentation, window), channels: 3, depth: 8 });
      return { file: { type: 'png', fileName: 'png.png', contentType: 'image/png', bytes } };
    });
  }
}
