import type { ImageSetVersion } from '../records.ts';
import type { StagedInstance } from './outcome.ts';

/** A staged instance with its number in the job (its files in the staging folder are named by it). */
export interface NumberedInstance {
  readonly number: number;
  readonly instance: StagedInstance;
}

/** Instances that go into one image set. */
export interface ImageSetPlan {
  /** The image set that they join as a new version; undefined makes a new one. */
  readonly existing: ImageSetVersion | undefined;
  readonly isPrimary: boolean;
  readonly identityDigest: string;
  /** In the order of the input; of several with one SOP instance UID the last counts. */
  readonly instances: readonly NumberedInstance[];
}

/**
 * Decides which image set each instance goes into. A series has one primary image set. Objects whose patient or study
 * attributes differ from those of the study's primary image sets (or of what came first in this job) don't mix with
 * them: they get an image set of their own, not primary. Known instances are overwritten in a new version.
 *
 * @param instances - in the order of the input
 * @param present - latest versions of the data store's image sets
 */
export function planImageSets(
  instances: readonly NumberedInstance[],
  present: Iterable<ImageSetVersion>,
): ImageSetPlan[] {
  const studyIdentity = new Map<string, string>();
  const bySeries = new Map<string, ImageSetVersion>();
  for (const imageSet of present) {
    const { DICOMStudyInstanceUID: study = '', DICOMSeriesInstanceUID: series = '' } = imageSet.dicomTags;
    const key = groupKey(study, series, imageSet.identityDigest);
    // A copy of a primary image set has its attributes too, and takes nothing in.
    if (!bySeries.get(key)?.isPrimary) bySeries.set(key, imageSet);
    if (imageSet.isPrimary) studyIdentity.set(study, imageSet.identityDigest);
  }
  const groups = new Map<string, NumberedInstance[]>();
  for (const numbered of instances) {
    const { studyInstanceUid, seriesInstanceUid, identityDigest } = numbered.instance;
    if (!studyIdentity.has(studyInstanceUid)) studyIdentity.set(studyInstanceUid, identityDigest);
    const key = groupKey(studyInstanceUid, seriesInstanceUid, identityDigest);
    const group = groups.get(key);
    if (group) group.push(numbered);
    else groups.set(key, [numbered]);
  }
  return [...groups].map(([key, members]) => {
    const { studyInstanceUid, identityDigest } = (members[0] as NumberedInstance).instance;
    const isPrimary = studyIdentity.get(studyInstanceUid) === identityDigest;
    const known = bySeries.get(key);
    return {
      existing: known?.isPrimary === isPrimary ? known : undefined,
      isPrimary,
      identityDigest,
      instances: members,
    };
  });
}

const groupKey = (study: string, series: string, identity: string): string => `${study} ${series} ${identity}`;
