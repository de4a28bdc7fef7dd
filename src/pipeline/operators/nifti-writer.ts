import { EndpointError } from '../../errors.ts';
import { writeNifti } from '../../formats/nifti/writer.ts';
import type { OutputFile } from '../imaging-job.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import type { Segmentation } from '../segmentation.ts';

/** Writes the label map as `.nii.gz` on the source grid (uint8, or uint16 for labels over 255). */
export class NiftiWriter implements Operator<{ segmentation: Segmentation }, { file: OutputFile }> {
  readonly name = 'nifti_writer';

  compute({ segmentation }: { segmentation: Segmentation }, context: ExecutionContext): Promise<{ file: OutputFile }> {
    return context.clock.time('write', async () => {
      const { shape, affineRas } = segmentation;
      const data = segmentation.kind === 'labelmap' ? segmentation.labels : flattened(segmentation);
      const bytes = await writeNifti({ data, shape, affineRas });
      return { file: { type: 'nifti', fileName: 'nifti.nii.gz', contentType: 'application/gzip', bytes } };
    });
  }
}

/** Masks as one label map, where that loses nothing. */
function flattened({ masks, segments }: Segmentation & { kind: 'masks' }): Uint16Array {
  const labels = new Uint16Array(masks[0]?.length ?? 0);
  for (const [index, mask] of masks.entries()) {
    const value = segments[index]?.value ?? 0;
    for (let at = 0; at < mask.length; at++) {
      if (mask[at] === 0) continue;
      if (labels[at] !== 0) {
        throw new EndpointError(
          'unsupported_bundle',
          'The segments of this model overlap, which one NIfTI label map cannot hold. Leave "nifti" out of the outputs in map.json.',
        );
      }
      labels[at] = value;
    }
  }
  return labels;
}
