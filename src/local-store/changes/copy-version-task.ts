import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { defineTask } from '../../compute/task.ts';
import { linkOrCopySync } from '../flushed-sync.ts';
import { blobPath, versionFiles } from '../layout.ts';
import {
  dicomTagsOf,
  type InstanceNode,
  identityDigest,
  liftSeries,
  lowerSeries,
  type MetadataDocument,
  sameAttributes,
} from '../metadata/document.ts';
import type { DocumentEdit } from '../metadata/edit-request.ts';
import { isSeriesKeyword } from '../metadata/levels.ts';
import type { BlobIndex } from '../records.ts';
import { conflict, ServiceError, validation } from '../service-error.ts';
import { readVersionFiles, type VersionContent, writeVersionFiles } from '../version-folder.ts';
import { asOutcome, type ChangeOutcome } from './outcome.ts';

export interface CopyVersionInput {
  readonly sourceFolder: string;
  /** Folder of all versions of the source: its blobs lie there. */
  readonly sourceVersions: string;
  /** Instances to copy; undefined: all. */
  readonly selection: DocumentEdit | undefined;
  /** Version that the copy joins; undefined makes a new image set. */
  readonly destinationFolder: string | undefined;
  readonly destinationId: string;
  readonly version: number;
  /** Join also where patient, study or series differ: those of the destination stay. */
  readonly force: boolean;
  readonly framesPerCopy: number;
  readonly versionFolder: string;
}

/** Makes a version out of instances of another image set; frames get a second name, not a second copy. */
export const copyVersionTask = defineTask<CopyVersionInput, ChangeOutcome>(
  import.meta.url,
  './copy-version-task.ts',
  'copyVersion',
);

/** @public called by its name on a compute thread */
export function copyVersion(input: CopyVersionInput): ChangeOutcome {
  return asOutcome(() => copy(input));
}

function copy(input: CopyVersionInput): ChangeOutcome {
  const source = readVersionFiles(input.sourceFolder);
  const { document, index, seriesUid } = destinationOf(input, source);
  const chosen = chosenInstances(source.document, input.selection);
  const frameCount = [...chosen.values()].reduce((sum, { ImageFrames }) => sum + ImageFrames.length, 0);
  if (frameCount > input.framesPerCopy) {
    throw new ServiceError(
      'ServiceQuotaExceededException',
      `The copy holds ${frameCount} frames; ${input.framesPerCopy} are allowed at once.`,
    );
  }
  const blobs = join(input.versionFolder, versionFiles.blobs);
  mkdirSync(blobs, { recursive: true });
  const frames = { ...index.frames };
  const received = { ...index.received };
  const target = document.Study.Series[seriesUid] as MetadataDocument['Study']['Series'][string];
  let number = 0;
  for (const [sop, node] of chosen) {
    if (Object.hasOwn(target.Instances, sop)) {
      throw conflict('The destination holds an instance of the same SOPInstanceUID. Remove it from one of them first.');
    }
    target.Instances[sop] = input.destinationFolder === undefined ? node : atHome(node, target.DICOM);
    const blob = source.index.received[sop] as string;
    const name = `${input.version}/${number}`;
    for (const suffix of ['.dcm', '.frames'] as const) {
      const from = blobPath(input.sourceVersions, blob, suffix);
      if (existsSync(from)) linkOrCopySync(from, join(blobs, `${number}${suffix}`));
    }
    number += 1;
    received[sop] = name;
    for (const { ID } of node.ImageFrames) {
      const [, offset, lengthBytes] = source.index.frames[ID] as BlobIndex['frames'][string];
      frames[ID] = [name, offset, lengthBytes];
    }
  }
  lowerSeries(document);
  liftSeries(document, isSeriesKeyword);
  writeVersionFiles(input.versionFolder, document, { frames, received });
  return {
    kind: 'made',
    dicomTags: dicomTagsOf(document),
    identityDigest: identityDigest(document.Patient.DICOM, document.Study.DICOM),
  };
}

/** The document that the instances join: an empty one of the source's study, or the destination's. */
function destinationOf(input: CopyVersionInput, source: VersionContent): VersionContent & { seriesUid: string } {
  const [sourceUid, sourceSeries] = Object.entries(source.document.Study.Series)[0] ?? ['', undefined];
  if (input.destinationFolder === undefined) {
    const document: MetadataDocument = {
      ...source.document,
      ImageSetID: input.destinationId,
      Study: {
        DICOM: source.document.Study.DICOM,
        Series: { [sourceUid]: { DICOM: sourceSeries?.DICOM ?? {}, Instances: {} } },
      },
    };
    return { document, index: { frames: {}, received: {} }, seriesUid: sourceUid };
  }
  const destination = readVersionFiles(input.destinationFolder);
  const [seriesUid, series] = Object.entries(destination.document.Study.Series)[0] ?? ['', undefined];
  if (!input.force) {
    const { Patient, Study } = destination.document;
    const isSameStudy =
      identityDigest(Patient.DICOM, Study.DICOM) ===
      identityDigest(source.document.Patient.DICOM, source.document.Study.DICOM);
    const isSameSeries = seriesUid === sourceUid && sameAttributes(series?.DICOM ?? {}, sourceSeries?.DICOM ?? {});
    if (!isSameStudy || !isSameSeries) {
      const what = isSameStudy ? 'series' : 'patient or study';
      throw conflict(
        `Source and destination differ in their ${what} attributes. With force those of the destination stay.`,
      );
    }
  }
  return { ...destination, seriesUid };
}

/** An instance below another series: what it said of its own series goes. */
function atHome(node: InstanceNode, series: MetadataDocument['Patient']['DICOM']): InstanceNode {
  const own = Object.entries(node.DICOM).filter(([key]) => !(isSeriesKeyword(key) && key in series));
  return { ...node, DICOM: Object.fromEntries(own) };
}

function chosenInstances(document: MetadataDocument, selection: DocumentEdit | undefined): Map<string, InstanceNode> {
  if (!selection) {
    return new Map(Object.values(document.Study.Series).flatMap(({ Instances }) => Object.entries(Instances)));
  }
  const chosen = new Map<string, InstanceNode>();
  for (const [seriesUid, { instances }] of Object.entries(selection.series)) {
    const series = Object.hasOwn(document.Study.Series, seriesUid) ? document.Study.Series[seriesUid] : undefined;
    if (!series) throw validation(`The source has no series ${seriesUid}.`);
    for (const sop of Object.keys(instances)) {
      const node = Object.hasOwn(series.Instances, sop) ? series.Instances[sop] : undefined;
      if (!node) throw validation(`The source has no instance ${sop}.`);
      chosen.set(sop, node);
    }
  }
  if (chosen.size === 0) throw validation('copiableAttributes names no instance.');
  return chosen;
}
