import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { defineTask } from '../../compute/task.ts';
import { versionFiles } from '../layout.ts';
import { dicomTagsOf, identityDigest } from '../metadata/document.ts';
import { editDocument } from '../metadata/edit-document.ts';
import type { DocumentEdit } from '../metadata/edit-request.ts';
import type { EditRules } from '../metadata/edit-rules.ts';
import type { BlobIndex } from '../records.ts';
import { readVersionFiles, type VersionContent, writeVersionFiles } from '../version-folder.ts';
import { asOutcome, type ChangeOutcome } from './outcome.ts';

export interface EditVersionInput {
  /** Folder of the version that is built upon: the latest, or the one to go back to. */
  readonly fromFolder: string;
  readonly removable: DocumentEdit | undefined;
  readonly updatable: DocumentEdit | undefined;
  readonly rules: EditRules;
  /** Where the version is put together; it must not exist. */
  readonly versionFolder: string;
}

/** Makes a version with other attributes; its frames stay where they are. */
export const editVersionTask = defineTask<EditVersionInput, ChangeOutcome>(
  import.meta.url,
  './edit-version-task.ts',
  'editVersion',
);

/** @public called by its name on a compute thread */
export function editVersion(input: EditVersionInput): ChangeOutcome {
  return asOutcome(() => {
    const content = readVersionFiles(input.fromFolder);
    const { document } = content;
    const { removed, renamed } = editDocument(document, input.removable, input.updatable, input.rules);
    mkdirSync(join(input.versionFolder, versionFiles.blobs), { recursive: true });
    writeVersionFiles(input.versionFolder, document, indexAfter(content, removed, renamed));
    return {
      kind: 'made',
      dicomTags: dicomTagsOf(document),
      identityDigest: identityDigest(document.Patient.DICOM, document.Study.DICOM),
    };
  });
}

/** The index without instances that left and their frames, and with the new names of others. */
function indexAfter(
  { document, index }: VersionContent,
  removed: readonly string[],
  renamed: ReadonlyMap<string, string>,
): BlobIndex {
  if (removed.length === 0 && renamed.size === 0) return index;
  const frames: Record<string, BlobIndex['frames'][string]> = {};
  for (const series of Object.values(document.Study.Series)) {
    for (const { ImageFrames } of Object.values(series.Instances)) {
      for (const { ID } of ImageFrames) frames[ID] = index.frames[ID] as BlobIndex['frames'][string];
    }
  }
  const received = Object.entries(index.received)
    .filter(([sop]) => !removed.includes(sop))
    .map(([sop, blob]) => [renamed.get(sop) ?? sop, blob]);
  return { frames, received: Object.fromEntries(received) };
}
