import { tags } from '../../formats/dicom/dictionary.ts';
import type { Findings } from '../findings.ts';
import type { OutputFile } from '../imaging-job.ts';
import type { ExecutionContext, Operator } from '../operator.ts';
import type { ModelIdentity } from './json-writer.ts';
import type { SourceImage } from './series-to-volume.ts';

interface Inputs {
  readonly image: SourceImage;
  readonly findings: Findings;
}

/** Writes figures of classes, or boxes, as JSON. No patient data: it is read outside of PACS walls. */
export class FindingsWriter implements Operator<Inputs, { file: OutputFile }> {
  readonly name = 'findings_writer';
  readonly #model: ModelIdentity;
  readonly #inferenceId: string;

  constructor(model: ModelIdentity, inferenceId: string) {
    this.#model = model;
    this.#inferenceId = inferenceId;
  }

  compute({ image, findings }: Inputs, context: ExecutionContext): Promise<{ file: OutputFile }> {
    return context.clock.time('write', () => {
      const attributes = (image.slices?.[0]?.instance ?? image.picture)?.attributes;
      const content = {
        model: this.#model,
        inferenceId: this.#inferenceId,
        seriesInstanceUid: attributes?.string(tags.SeriesInstanceUID) ?? null,
        // What patient coordinates belong to.
        frameOfReferenceUid: attributes?.string(tags.FrameOfReferenceUID) ?? null,
        ...inAnswer(findings),
      };
      const bytes = Buffer.from(`${JSON.stringify(content, undefined, 2)}\n`);
      return { file: { type: 'json', fileName: 'json.json', contentType: 'application/json', bytes } };
    });
  }
}

/** The findings as the answer and the file hold them. */
export function inAnswer(findings: Findings) {
  const { kind, ...content } = findings;
  return kind === 'classification'
    ? { classification: content as Omit<Extract<Findings, { kind: 'classification' }>, 'kind'> }
    : { detections: content as Omit<Extract<Findings, { kind: 'detections' }>, 'kind'> };
}
