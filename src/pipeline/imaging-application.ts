import type { InvocationAnswer, OutputDescription, SegmentMeasurement } from '../api/invocation.ts';
import { throwIfAborted } from '../errors.ts';
import { noSpan } from '../tracing/span.ts';
import { traced } from '../tracing/traced.ts';
import { Application } from './application.ts';
import type { Findings } from './findings.ts';
import type { ImagingJob, ImagingResult, OutputFile } from './imaging-job.ts';
import { identifyJob, type JobIdentity } from './job-identity.ts';
import { type ExecutionContext, type Operator, runOperator } from './operator.ts';
import { BundleInference } from './operators/bundle-inference.ts';
import { DicomDataLoader } from './operators/dicom-data-loader.ts';
import { canBeReferred, DicomSegWriter } from './operators/dicom-seg-writer.ts';
import { FindingsWriter, inAnswer } from './operators/findings-writer.ts';
import { JsonWriter, type ModelIdentity } from './operators/json-writer.ts';
import { measureSegments } from './operators/measurements.ts';
import { NiftiWriter } from './operators/nifti-writer.ts';
import { PngWriter } from './operators/png-writer.ts';
import { type ResultContent, ResultToFindings } from './operators/result-to-findings.ts';
import { ResultToSegmentation } from './operators/result-to-segmentation.ts';
import { compileSeriesRules } from './operators/series-rules.ts';
import { SeriesSelector } from './operators/series-selector.ts';
import { SeriesToVolume, type SourceImage } from './operators/series-to-volume.ts';
import { PhaseClock } from './phase-clock.ts';
import { checkFindingsOutputs, type PlannedOutput, planOutputs } from './planned-outputs.ts';
import { checkPublishTargets, publishObjects } from './publish-objects.ts';
import { describeOutput, findResultPlace, publishResults, type ResultPlace } from './publish-results.ts';
import type { Segmentation } from './segmentation.ts';

interface Writing {
  readonly image: SourceImage;
  readonly segmentation: Segmentation;
  readonly measurements: readonly SegmentMeasurement[];
}

/** What a result is written as, and what the answer itself tells of it. */
interface WrittenResult {
  readonly files: readonly OutputFile[];
  readonly told: Pick<InvocationAnswer, 'measurements' | 'classification' | 'detections'>;
}

/**
 * Runs one imaging request: load → select → volume → bundle → segments → files, then publishes the files or gives them
 * back. Either everything succeeds, or an error is thrown and nothing stays behind.
 *
 * @throws EndpointError with the code of what failed (design §5)
 */
export async function runImagingJob(job: ImagingJob): Promise<ImagingResult> {
  const clock = new PhaseClock();
  const warnings = [...(job.warnings ?? [])];
  const context: ExecutionContext = {
    signal: job.signal,
    pool: job.pool,
    scratchDir: job.scratchDir,
    clock,
    span: job.span,
    warn: (message) => void warnings.push(message),
  };
  const { model, inferenceId, fingerprint } = await identifyJob(job);
  await checkPublishTargets(job);
  const place = await placeOf(job, { model: model.name, inferenceId, fingerprint });

  const { image, content } = await analyse(job, context);
  const { files, told } =
    content.kind === 'classification' || content.kind === 'detections'
      ? await writeFindings(job, image, content, { model, inferenceId }, context)
      : await writeSegmentation(job, image, content, { model, inferenceId, fingerprint }, context);

  const start = performance.now();
  // What is published cannot be taken back, so it comes last of all that may fail but the commit mark.
  const answerFor = async (outputs: readonly OutputDescription[]): Promise<InvocationAnswer> => {
    const published = await publishObjects(job, files, inferenceId);
    clock.add('write', performance.now() - start);
    return {
      model,
      inferenceId,
      outputs,
      ...(published.length === 0 ? {} : { published }),
      ...told,
      warnings,
      timingsMs: clock.timings(job.elapsedMs ?? { queue: 0, load: 0 }),
    };
  };
  throwIfAborted(job.signal);
  if (!place) return { answer: await answerFor(files.map((file) => describeOutput(file))), files };
  await job.writing?.(place.prefixUri);
  const publish = (): Promise<InvocationAnswer> => publishResults(place, files, fingerprint, answerFor, job.signal);
  const answer = await traced((job.span ?? noSpan).child('write', { 'map_endpoint.outputs': files.length }), publish);
  job.progress?.(1, 'write');
  return { answer, files: [] };
}

async function writeSegmentation(
  job: ImagingJob,
  image: SourceImage,
  segmentation: Segmentation,
  { model, inferenceId, fingerprint }: JobIdentity,
  context: ExecutionContext,
): Promise<WrittenResult> {
  const measurements = measureSegments(segmentation);
  const source = sourceOf(image);
  const planned = planOutputs(job.mapJson, source, context.warn);
  const uidSeed = `${fingerprint} ${inferenceId}`;
  const files: OutputFile[] = [];
  for (const output of planned) {
    throwIfAborted(job.signal);
    const writer = writerOf(output, model, inferenceId, uidSeed);
    files.push((await runOperator(writer, { image, segmentation, measurements }, context)).file);
  }
  return { files, told: { measurements } };
}

function sourceOf({ slices, picture }: SourceImage): Parameters<typeof planOutputs>[1] {
  if (picture) return 'picture';
  if (!slices) return 'volume';
  return canBeReferred(slices) ? 'dicom' : 'dicom-without-uids';
}

async function writeFindings(
  { mapJson }: ImagingJob,
  image: SourceImage,
  findings: Findings,
  { model, inferenceId }: Pick<JobIdentity, 'model' | 'inferenceId'>,
  context: ExecutionContext,
): Promise<WrittenResult> {
  checkFindingsOutputs(mapJson);
  const writer = new FindingsWriter(model, inferenceId);
  const { file } = await runOperator(writer, { image, findings }, context);
  return { files: [file], told: { measurements: [], ...inAnswer(findings) } };
}

async function placeOf(
  job: ImagingJob,
  names: { readonly model: string; readonly inferenceId: string; readonly fingerprint: string },
): Promise<ResultPlace | undefined> {
  return job.outputUri === undefined ? undefined : findResultPlace(job.sinks, job.outputUri, names, job.signal);
}

/** The graph from the inputs to what the result says. */
async function analyse(
  job: ImagingJob,
  context: ExecutionContext,
): Promise<{ image: SourceImage; content: ResultContent }> {
  const { bundle, mapJson, network, progress } = job;
  const loader = new DicomDataLoader(job.inputs, job.sources);
  const selector = new SeriesSelector({
    selections: mapJson.series && compileSeriesRules(mapJson.series),
    modality: bundle.metadata.modality,
    imagesPerRun: bundle.imagesPerRun,
    isRequested: job.inputs.some((input) => 'seriesInstanceUid' in input && input.seriesInstanceUid !== undefined),
  });
  const toVolume = new SeriesToVolume();
  const inference = new BundleInference({
    bundle,
    network,
    prompts: job.prompts,
    progress: progress && ((...args) => progress.call(job, ...args)),
  });
  const toFindings = new ResultToFindings(new ResultToSegmentation(mapJson.outputs, bundle.metadata), bundle.metadata);
  const application = new Application()
    .addFlow(loader, selector, { images: 'images' })
    .addFlow(selector, toVolume, { selected: 'selected' })
    .addFlow(toVolume, inference, { image: 'image' })
    .addFlow(toVolume, toFindings, { image: 'image' })
    .addFlow(inference, toFindings, { result: 'result' });
  const outputsOf = await application.run(context);
  return { ...outputsOf(toVolume), ...outputsOf(toFindings) };
}

function writerOf(
  output: PlannedOutput,
  model: ModelIdentity,
  inferenceId: string,
  uidSeed: string,
): Operator<Writing, { file: OutputFile }> {
  switch (output.type) {
    case 'dicom-seg':
      return new DicomSegWriter({ output, model, uidSeed });
    case 'nifti':
      return new NiftiWriter();
    case 'json':
      return new JsonWriter(model, inferenceId);
    case 'png':
      return new PngWriter();
  }
}
