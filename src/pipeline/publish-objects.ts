import type { PublicationDescription } from '../api/invocation.ts';
import type { Publication, PublishedObject, PublishTarget, ResultPublisher } from '../connectors/result-publisher.ts';
import { EndpointError } from '../errors.ts';
import { tags } from '../formats/dicom/dictionary.ts';
import { readPart10 } from '../formats/dicom/part10-reader.ts';
import type { ImagingJob, OutputFile } from './imaging-job.ts';

/**
 * Looks before any work whether the results of a job can be published where it says.
 *
 * @throws EndpointError `invalid_request` (no DICOM output, malformed), `forbidden`
 */
export async function checkPublishTargets(job: ImagingJob): Promise<void> {
  const targets = job.publish ?? [];
  if (targets.length === 0) return;
  const { outputs } = job.mapJson;
  if (outputs && !outputs.some(({ type }) => type.startsWith('dicom-')))
    throw nothingToPublish('this model writes none');
  for (const target of targets) await publisherOf(job, target).check(target);
}

/**
 * Stores the DICOM results of a job where it says; a retry finds what an earlier try has stored.
 *
 * @throws EndpointError what the publishers throw; `invalid_request` when there is no DICOM result
 */
export async function publishObjects(
  job: ImagingJob,
  files: readonly OutputFile[],
  inferenceId: string,
): Promise<PublicationDescription[]> {
  const targets = job.publish ?? [];
  if (targets.length === 0) return [];
  const objects = files.filter(({ sopInstanceUid }) => sopInstanceUid !== undefined).map(publishedObject);
  if (objects.length === 0) throw nothingToPublish('this input leads to none');
  const published: PublicationDescription[] = [];
  for (const target of targets) {
    const publisher = publisherOf(job, target);
    published.push(describe(await publisher.publish(target, objects, { signal: job.signal, inferenceId })));
  }
  return published;
}

function publisherOf(job: ImagingJob, target: PublishTarget): ResultPublisher {
  const publisher = job.publishers?.find((candidate) => candidate.accepts(target));
  if (!publisher) throw new EndpointError('invalid_request', `publish to ${target.kind} is not possible here.`);
  return publisher;
}

function publishedObject({ bytes }: OutputFile): PublishedObject {
  const { dataset } = readPart10(bytes);
  const uid = (tag: number): string => dataset.string(tag) ?? '';
  return {
    studyInstanceUid: uid(tags.StudyInstanceUID),
    seriesInstanceUid: uid(tags.SeriesInstanceUID),
    sopInstanceUid: uid(tags.SOPInstanceUID),
    bytes,
  };
}

function describe({ target, imageSetIds = [], wasThere }: Publication): PublicationDescription {
  return target.kind === 'dicomweb'
    ? { to: 'dicomweb', url: target.url, wasThere }
    : { to: 'healthimaging', datastoreId: target.datastoreId, imageSetIds, wasThere };
}

function nothingToPublish(reason: string): EndpointError {
  return new EndpointError('invalid_request', `publish needs a DICOM result, and ${reason}.`);
}
