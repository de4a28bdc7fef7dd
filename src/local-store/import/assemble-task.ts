import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { defineTask } from '../../compute/task.ts';
import { versionFiles } from '../layout.ts';
import {
  dicomTagsOf,
  emptyDocument,
  liftSeries,
  lowerSeries,
  type MetadataDocument,
  putInstance,
} from '../metadata/document.ts';
import { isSeriesKeyword } from '../metadata/levels.ts';
import type { BlobIndex } from '../records.ts';
import { readVersionFiles, writeVersionFiles } from '../version-folder.ts';
import type { NumberedInstance } from './group-instances.ts';
import type { AssembledVersion, DiskFull, StagedInstanceFile } from './outcome.ts';

export interface AssembleInput {
  readonly datastoreId: string;
  readonly imageSetId: string;
  readonly version: number;
  /** Folder of the version that is built upon; undefined for a new image set. */
  readonly previousFolder: string | undefined;
  /** Folder with the staged `{number}.dcm .frames .json` of the job. */
  readonly stagingFolder: string;
  readonly instances: readonly NumberedInstance[];
  /** Where the version is put together; it must not exist. */
  readonly versionFolder: string;
}

/** Makes a version's document and moves its blobs into place; runs on a compute thread, since documents can be big. */
export const assembleVersionTask = defineTask<AssembleInput, AssembledVersion | DiskFull>(
  import.meta.url,
  './assemble-task.ts',
  'assembleVersion',
);

/**
 * Builds the folder of a version (all but its properties) from staged instances and the version before. Everything in
 * it is flushed when this returns; the caller's rename commits it.
 *
 * @public called by its name on a compute thread
 */
export function assembleVersion(input: AssembleInput): AssembledVersion | DiskFull {
  try {
    return assemble(input);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOSPC') return { kind: 'disk-full' };
    throw error;
  }
}

function assemble(input: AssembleInput): AssembledVersion {
  const { version, stagingFolder, versionFolder } = input;
  const blobs = join(versionFolder, versionFiles.blobs);
  mkdirSync(blobs, { recursive: true });
  const { document, index } = startFrom(input);
  const frames: Record<string, readonly [string, number, number]> = { ...index.frames };
  const received: Record<string, string> = { ...index.received };
  const seriesUid = input.instances[0]?.instance.seriesInstanceUid as string;

  for (const { number, instance } of lastOfEach(input.instances)) {
    const file = JSON.parse(readFileSync(join(stagingFolder, `${number}.json`), 'utf8')) as StagedInstanceFile;
    for (const old of document.Study.Series[seriesUid]?.Instances[instance.sopInstanceUid]?.ImageFrames ?? []) {
      delete frames[old.ID];
    }
    putInstance(document, instance, file);
    const blob = `${version}/${number}`;
    for (const frame of file.frames) frames[frame.entry.ID] = [blob, frame.offset, frame.lengthBytes];
    received[instance.sopInstanceUid] = blob;
    for (const suffix of ['.dcm', '.frames']) {
      const staged = join(stagingFolder, `${number}${suffix}`);
      if (existsSync(staged)) renameSync(staged, join(blobs, `${number}${suffix}`));
    }
  }
  liftSeries(document, isSeriesKeyword);
  writeVersionFiles(versionFolder, document, { frames, received });
  return { kind: 'assembled', dicomTags: dicomTagsOf(document) };
}

function startFrom(input: AssembleInput): { document: MetadataDocument; index: BlobIndex } {
  const [first] = input.instances;
  if (!first) throw new TypeError('A version without instances.');
  if (input.previousFolder === undefined) {
    return {
      document: emptyDocument(input.datastoreId, input.imageSetId, first.instance),
      index: { frames: {}, received: {} },
    };
  }
  const previous = readVersionFiles(input.previousFolder);
  lowerSeries(previous.document);
  return previous;
}

/** Of several files with one SOP instance UID the last one counts, at the place of the first. */
function lastOfEach(instances: readonly NumberedInstance[]): Iterable<NumberedInstance> {
  return new Map(instances.map((numbered) => [numbered.instance.sopInstanceUid, numbered])).values();
}
