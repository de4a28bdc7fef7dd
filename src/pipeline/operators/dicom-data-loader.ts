import type { ImageSource, InputReference, SourceSeries } from '../../connectors/image-source.ts';
import { EndpointError } from '../../errors.ts';
import { tags } from '../../formats/dicom/dictionary.ts';
import type { Volume } from '../../imaging/volume.ts';
import type { ExecutionContext, Operator } from '../operator.ts';

/** The inputs of a job, opened: the DICOM series of one study, or ready volumes in the order of the inputs. */
export type LoadedImages =
  | { readonly kind: 'dicom'; readonly series: readonly SourceSeries[] }
  | {
      readonly kind: 'volume';
      readonly volume: Volume;
      readonly volumes: readonly Volume[];
      /** The same by input: the channels of each. */
      readonly byInput: readonly (readonly Volume[])[];
    };

/**
 * Opens the inputs of a job through the source that is for each (`DICOMDataLoaderOperator`). Several inputs must be of
 * one patient and one study, since a result is written into it.
 *
 * @throws EndpointError `invalid_request`, `input_not_found`, `unprocessable_image`, and what the sources throw
 */
export class DicomDataLoader implements Operator<object, { images: LoadedImages }> {
  readonly name = 'dicom_data_loader';
  readonly #inputs: readonly InputReference[];
  readonly #sources: readonly ImageSource[];

  constructor(inputs: readonly InputReference[], sources: readonly ImageSource[]) {
    this.#inputs = inputs;
    this.#sources = sources;
  }

  compute(_inputs: object, context: ExecutionContext): Promise<{ images: LoadedImages }> {
    return context.clock.time('fetch', async () => ({ images: await this.#open(context) }));
  }

  async #open({ signal, scratchDir }: ExecutionContext): Promise<LoadedImages> {
    const series: SourceSeries[] = [];
    const byInput: (readonly Volume[])[] = [];
    for (const [index, reference] of this.#inputs.entries()) {
      const source = this.#sources.find((candidate) => candidate.accepts(reference));
      if (!source) {
        throw new EndpointError(
          'invalid_request',
          `inputs.${index} is of no kind that is read here: use datastoreId and imageSetId, or an s3:// or file:// URI.`,
        );
      }
      const loaded = await source.open(reference, { signal, scratchDir: `${scratchDir}/input-${index}` });
      if (loaded.kind === 'volume') {
        byInput.push(loaded.channels ?? [loaded.volume]);
      } else series.push(...requested(loaded.series, reference));
    }
    const volumes = byInput.flat();
    const [volume] = volumes;
    if (volume) {
      if (series.length > 0)
        throw new EndpointError('unprocessable_image', 'A NIfTI image cannot be combined with DICOM inputs.');
      return { kind: 'volume', volume, volumes, byInput };
    }
    checkOneStudy(series);
    return { kind: 'dicom', series: mergeSeries(series) };
  }
}

/** The series that a reference asks for: the one of `seriesInstanceUid`, else all. */
function requested(series: readonly SourceSeries[], reference: InputReference): readonly SourceSeries[] {
  const uid = 'seriesInstanceUid' in reference ? reference.seriesInstanceUid : undefined;
  if (uid === undefined) return series;
  const found = series.filter((candidate) => candidate.seriesInstanceUid === uid);
  if (found.length === 0) throw new EndpointError('input_not_found', `The input has no series ${uid}.`);
  return found;
}

/** A series may come in parts from several inputs (an image set each). */
function mergeSeries(series: readonly SourceSeries[]): SourceSeries[] {
  const byUid = new Map<string, SourceSeries>();
  for (const one of series) {
    const known = byUid.get(one.seriesInstanceUid);
    byUid.set(one.seriesInstanceUid, known ? { ...one, instances: [...known.instances, ...one.instances] } : one);
  }
  return [...byUid.values()].map((one) => ({ ...one, instances: inOrder(one.instances) }));
}

/** By InstanceNumber, then by UID: what a source lists first must not decide what the rules see. */
function inOrder(instances: SourceSeries['instances']): SourceSeries['instances'] {
  const keyed = instances.map((instance) => ({
    instance,
    number: instance.attributes.number(tags.InstanceNumber) ?? Number.POSITIVE_INFINITY,
    uid: instance.attributes.string(tags.SOPInstanceUID) ?? '',
  }));
  keyed.sort((a, b) => (a.number !== b.number ? (a.number < b.number ? -1 : 1) : a.uid < b.uid ? -1 : 1));
  return keyed.map(({ instance }) => instance);
}

/** Every instance is looked at: one slice of another patient must not slip into a volume. */
function checkOneStudy(series: readonly SourceSeries[]): void {
  const studies = new Set<string | undefined>();
  const patients = new Set<string>();
  for (const { instances } of series) {
    for (const { attributes } of instances) {
      studies.add(attributes.string(tags.StudyInstanceUID));
      patients.add(
        [tags.PatientID, tags.IssuerOfPatientID, tags.PatientBirthDate]
          .map((tag) => attributes.string(tag) ?? '')
          .join('\n'),
      );
    }
  }
  if (studies.size === 0) throw new EndpointError('input_not_found', 'The input holds no DICOM instances.');
  if (patients.size > 1) {
    throw new EndpointError(
      'unprocessable_image',
      'The inputs hold images of more than one patient. Send one at a time.',
    );
  }
  if (studies.size > 1) {
    throw new EndpointError('unprocessable_image', 'The inputs hold more than one study. Send one at a time.');
  }
}
