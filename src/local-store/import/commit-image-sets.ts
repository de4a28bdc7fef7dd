import { join } from 'node:path';
import type { ComputePool } from '../../compute/pool.ts';
import type { Catalog } from '../catalog.ts';
import { newId } from '../identifiers.ts';
import type { ImageSetStates } from '../image-set-states.ts';
import { type ImageSetVersion, nowSeconds } from '../records.ts';
import { assembleVersionTask } from './assemble-task.ts';
import { type ImageSetPlan, type NumberedInstance, planImageSets } from './group-instances.ts';
import { diskFull, JobFailure } from './input-files.ts';

export interface CommitContext {
  readonly catalog: Catalog;
  readonly states: ImageSetStates;
  readonly pool: ComputePool;
  readonly signal: AbortSignal;
}

/** Where staged instances came from. */
export interface StagedImport {
  readonly datastoreId: string;
  /** The job, or the request: when it runs again, what it had committed is found and not made twice. */
  readonly importId: string;
  /** A killed process may have done a part of it. */
  readonly isRepeated: boolean;
  /** Folder with the staged `{number}.dcm .frames .json`. */
  readonly staging: string;
}

/**
 * Makes image sets of staged instances, or new versions of those that they belong to, one by one. The caller has the
 * data store's write lock.
 *
 * @throws JobFailure when the disk is full
 */
export async function* commitImageSets(
  source: StagedImport,
  staged: readonly NumberedInstance[],
  context: CommitContext,
): AsyncGenerator<{ readonly plan: ImageSetPlan; readonly version: ImageSetVersion }> {
  const present = context.catalog.datastore(source.datastoreId).imageSets.values();
  for (const plan of planImageSets(staged, present)) {
    context.signal.throwIfAborted();
    const { existing } = plan;
    const before =
      existing && source.isRepeated ? await madeBefore(existing, source.importId, context.catalog) : undefined;
    if (before) {
      yield { plan, version: before };
      continue;
    }
    const work = new Map(existing ? [[existing.imageSetId, 'IMPORTING' as const]] : []);
    yield { plan, version: await context.states.during(work, () => commitPlan(source, plan, context)) };
  }
}

/** The version that an earlier run of the import made; later imports and updates may have built on it since. */
async function madeBefore(
  { datastoreId, imageSetId, version }: ImageSetVersion,
  importId: string,
  catalog: Catalog,
): Promise<ImageSetVersion | undefined> {
  for (let number = version; number > 0; number--) {
    const found = await catalog.readVersion(datastoreId, imageSetId, number);
    if (found?.importJobId === importId) return found;
  }
  return undefined;
}

async function commitPlan(
  { datastoreId, importId, staging }: StagedImport,
  { existing, instances, isPrimary, identityDigest }: ImageSetPlan,
  { catalog, pool, signal }: CommitContext,
): Promise<ImageSetVersion> {
  const imageSetId = existing?.imageSetId ?? newId();
  const versionNumber = (existing?.version ?? 0) + 1;
  const versionFolder = join(staging, `version-${imageSetId}`);
  const assembled = await pool.run(
    assembleVersionTask,
    {
      datastoreId,
      imageSetId,
      version: versionNumber,
      previousFolder: existing && catalog.layout.version(datastoreId, imageSetId, existing.version),
      stagingFolder: staging,
      instances,
      versionFolder,
    },
    signal,
  );
  if (assembled.kind === 'disk-full') throw new JobFailure(diskFull);
  const now = nowSeconds();
  const version: ImageSetVersion = {
    imageSetId,
    datastoreId,
    version: versionNumber,
    workflowStatus: existing ? 'UPDATED' : 'CREATED',
    createdAt: existing?.createdAt ?? now,
    updatedAt: now,
    isPrimary,
    dicomTags: assembled.dicomTags,
    identityDigest,
    importJobId: importId,
    importedInstances: new Set(instances.map(({ instance }) => instance.sopInstanceUid)).size,
  };
  await catalog.commitVersion(versionFolder, version);
  return version;
}
