import type { InvocationAnswer, OutputDescription, SegmentMeasurement } from '../api/invocation.ts';
import { throwIfAborted } from '../errors.ts';
import { noSpan } from '../tracing/span.ts';
import { traced } from '../tracing/traced.ts';
import { Application } from './application.ts';
import type { ImagingJob, ImagingResult, OutputFile } from './imaging-job.ts';
import { identifyJob } from './job-identity.ts';
import { type ExecutionContext, type Operator, runOperator } from './operator.ts';
import { BundleInference } from './operators/bundle-inference.ts';
import { DicomDataLoader } from './operators/dicom-data-loader.ts';
import { canBeReferred, DicomSegWriter } from './operators/dicom-seg-writer.ts';
import { JsonWriter, type ModelIdentity } from './operators/json-writer.ts';
import { measureSegments } from './operators/measurements.ts';
import { NiftiWriter } from './operators/nifti-writer.ts';
import { PngWriter } from './operators/png-writer.ts';
import { ResultToSegmentation } from './operators/result-to-segmentation.ts';
import { compileSeriesRules } from './operators/series-rules.ts';
import { SeriesSelector } from './operators/series-selector.ts';
import { SeriesToVolume, type SourceImage } from './operators/series-to-volume.ts';
import { PhaseClock } from './phase-clock.ts';
import { type PlannedOutput, planOutputs } from './planned-outputs.ts';
import { checkPublishTargets, publishObjects } from './publish-objects.ts';
import { describeOutput, findResultPlace, publishResults, type ResultPlace } from './publish-results.ts';
import type { Segmentation } from './segmentation.ts';

interface Writing {
  readonly image: SourceImage;
  readonly segmentation: Segmentation;
  readonly measurements: readonly SegmentMeasurement[];
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

  const { image, segmentation } = await analyse(job, context);
  const measurements = measureSegments(segmentation);
  const source = image.slices ? (canBeReferred(image.slices) ? 'dicom' : 'dicom-without-uids') : 'volume';
  const planned = planOutputs(job.mapJson, source, context.warn);
  const uidSeed = `${fingerprint} ${inferenceId}`;
  const files: OutputFile[] = [];
  for (const output of planned) {
    throwIfAborted(job.signal);
    const writer = writerOf(output, model, inferenceId, uidSeed);
    files.push((await runOperator(writer, { image, segmentation, measurements }, context)).file);
  }

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
      measurements,
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

async function placeOf(
  job: ImagingJob,
  names: { readonly model: string; readonly inferenceId: string; readonly fingerprint: string },
): Promise<ResultPlace | undefined> {
  return job.outputUri === undefined ? undefined : findResultPlace(job.sinks, job.outputUri, names, job.signal);
}

/** The graph from the inputs to the segmentation. */
async function analyse(
  job: ImagingJob,
  context: ExecutionContext,
): Promise<{ image: SourceImage; segmentation: Segmentation }> {
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
  const toSegmentation = new ResultToSegmentation(mapJson.outputs, bundle.metadata);
  const application = new Application()
    .addFlow(loader, selector, { images: 'images' })
    .addFlow(selector, toVolume, { selected: 'selected' })
    .addFlow(toVolume, inference, { image: 'image' })
    .addFlow(toVolume, toSegmentation, { image: 'image' })
    .addFlow(inference, toSegmentation, { result: 'result' });
  const outputsOf = await application.run(context);
  return { ...outputsOf(toVolume), ...outputsOf(toSegmentation) };
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
