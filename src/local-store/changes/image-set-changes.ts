import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { ComputePool } from '../../compute/pool.ts';
import type { TaskReference } from '../../compute/task.ts';
import type { Catalog, StagedVersion } from '../catalog.ts';
import { newId } from '../identifiers.ts';
import type { ImageSetStates, WorkInProgress } from '../image-set-states.ts';
import { type DocumentEdit, editsStudy, parseEdit, studyPart } from '../metadata/edit-request.ts';
import { type ImageSetVersion, nowSeconds } from '../records.ts';
import { conflict, ServiceError, validation } from '../service-error.ts';
import type { CopyRequest, UpdateRequest } from '../wire.ts';
import type { WriteLocks } from '../write-locks.ts';
import { copyVersionTask } from './copy-version-task.ts';
import { editVersionTask } from './edit-version-task.ts';
import type { ChangeOutcome } from './outcome.ts';

/** How large a change may be. */
export interface ChangeQuotas {
  /** Bytes of the attributes of an update. */
  readonly bytesPerUpdate: number;
  readonly framesPerCopy: number;
}

export interface ChangeContext {
  readonly catalog: Catalog;
  readonly locks: WriteLocks;
  readonly states: ImageSetStates;
  readonly pool: ComputePool;
  readonly quotas: ChangeQuotas;
}

/**
 * Updates, reverts and copies of image sets. The service does these in the background; here they are done and durable
 * when the promise resolves, and what is wrong with one is its answer and not the state of an image set.
 */
export class ImageSetChanges {
  readonly #context: ChangeContext;

  constructor(context: ChangeContext) {
    this.#context = context;
  }

  /** @returns the version made, of the image set that was named */
  async update(datastoreId: string, imageSetId: string, request: UpdateRequest): Promise<ImageSetVersion> {
    const { updates, revertToVersion } = request;
    const size = (updates?.removable?.length ?? 0) + (updates?.updatable?.length ?? 0);
    if (size > this.#context.quotas.bytesPerUpdate) {
      throw quota(`The attributes of an update have at most ${this.#context.quotas.bytesPerUpdate} bytes.`);
    }
    const removable =
      updates?.removable === undefined ? undefined : parseEdit(updates.removable, 'removableAttributes');
    const updatable =
      updates?.updatable === undefined ? undefined : parseEdit(updates.updatable, 'updatableAttributes');
    if (updates && !removable && !updatable) throw validation('DICOMUpdates names no attributes.');
    if (!updates && request.includeStudyImageSets) {
      throw validation('includeStudyImageSets cannot be used with revertToVersionId.');
    }
    return this.#locked(datastoreId, [imageSetId], async () => {
      const latest = this.#latest(datastoreId, imageSetId, request.latestVersion);
      if (revertToVersion !== undefined) return this.#revert(latest, revertToVersion, request.force);
      const touchesStudy = [removable, updatable].some((edit) => edit !== undefined && editsStudy(edit));
      const others = latest.isPrimary ? this.#primariesOfStudy(latest) : [];
      if (request.includeStudyImageSets && !latest.isPrimary) {
        throw validation('includeStudyImageSets is for primary image sets.');
      }
      if (touchesStudy && others.length > 0 && !request.includeStudyImageSets) {
        throw validation(
          `Patient and study attributes hold for ${others.length} more primary image sets of the study: use includeStudyImageSets.`,
        );
      }
      const work = new Map<string, WorkInProgress>([[imageSetId, 'UPDATING']]);
      const along = touchesStudy && request.includeStudyImageSets ? others : [];
      for (const other of along) work.set(other.imageSetId, 'UPDATING_FOR_STUDY_CONSISTENCY');
      return this.#context.states.during(work, async () => {
        const edits = [latest, ...along].map((imageSet) => ({
          imageSet,
          removable: imageSet === latest ? removable : removable && studyPart(removable),
          updatable: imageSet === latest ? updatable : updatable && studyPart(updatable),
        }));
        const staged: StagedVersion[] = [];
        try {
          for (const { imageSet, ...edit } of edits) staged.push(await this.#edit(imageSet, edit, request.force));
          await this.#context.catalog.commitTogether(staged);
        } finally {
          await this.#discard(staged);
        }
        return (staged[0] as StagedVersion).version;
      });
    });
  }

  /** @returns the source as it is, and the version made at the destination */
  async copy(
    datastoreId: string,
    sourceId: string,
    request: CopyRequest,
  ): Promise<{ readonly source: ImageSetVersion; readonly destination: ImageSetVersion }> {
    const { destination: wanted, copiable, promoteToPrimary } = request;
    const selection = copiable === undefined ? undefined : parseEdit(copiable, 'copiableAttributes');
    if (wanted?.imageSetId === sourceId) throw validation('Source and destination are the same image set.');
    const named = wanted ? [sourceId, wanted.imageSetId] : [sourceId];
    return this.#locked(datastoreId, named, async () => {
      const source = this.#latest(datastoreId, sourceId, request.sourceVersion);
      let existing = wanted && this.#latest(datastoreId, wanted.imageSetId, wanted.latestVersion);
      if (promoteToPrimary) {
        if (existing && !existing.isPrimary)
          throw validation('A copy is promoted into a primary image set, or a new one.');
        existing ??= this.#primaryForPromotion(source);
      }
      const destinationId = existing?.imageSetId ?? newId();
      const work = new Map<string, WorkInProgress>([
        [sourceId, 'COPYING_WITH_READ_ONLY_ACCESS'],
        [destinationId, 'COPYING'],
      ]);
      const destination = await this.#context.states.during(work, async () => {
        const { layout } = this.#context.catalog;
        const version = (existing?.version ?? 0) + 1;
        const versionFolder = this.#stagingFolder();
        const outcome = await this.#run(versionFolder, copyVersionTask, {
          sourceFolder: layout.version(datastoreId, sourceId, source.version),
          sourceVersions: layout.versions(datastoreId, sourceId),
          selection,
          destinationFolder: existing && layout.version(datastoreId, existing.imageSetId, existing.version),
          destinationId,
          version,
          force: request.force,
          framesPerCopy: this.#context.quotas.framesPerCopy,
          versionFolder,
        });
        const now = nowSeconds();
        const made: ImageSetVersion = {
          imageSetId: destinationId,
          datastoreId,
          version,
          workflowStatus: 'COPIED',
          ...(request.force ? { forced: true } : {}),
          createdAt: existing?.createdAt ?? now,
          updatedAt: now,
          isPrimary: existing?.isPrimary ?? promoteToPrimary,
          ...outcome,
        };
        await this.#context.catalog.commitVersion(versionFolder, made);
        return made;
      });
      return { source, destination };
    });
  }

  async #revert(latest: ImageSetVersion, to: number, force: boolean): Promise<ImageSetVersion> {
    const { catalog, states } = this.#context;
    const { datastoreId, imageSetId } = latest;
    const earlier = await catalog.readVersion(datastoreId, imageSetId, to);
    if (!earlier || earlier.version === latest.version) {
      throw validation('revertToVersionId must name an earlier version of the image set.');
    }
    const breaksStudy =
      latest.isPrimary && earlier.identityDigest !== latest.identityDigest && this.#primariesOfStudy(latest).length > 0;
    if (breaksStudy) {
      throw conflict(
        'The version has other patient or study attributes than the other primary image sets of its study.',
      );
    }
    return states.during(new Map([[imageSetId, 'UPDATING']]), async () => {
      const staged = await this.#edit(latest, { removable: undefined, updatable: undefined }, force, earlier.version);
      try {
        await catalog.commitTogether([staged]);
      } finally {
        await this.#discard([staged]);
      }
      return staged.version;
    });
  }

  async #edit(
    latest: ImageSetVersion,
    edit: { removable: DocumentEdit | undefined; updatable: DocumentEdit | undefined },
    force: boolean,
    from = latest.version,
  ): Promise<StagedVersion> {
    const { datastoreId, imageSetId, isPrimary, createdAt } = latest;
    const folder = this.#stagingFolder();
    const made = await this.#run(folder, editVersionTask, {
      fromFolder: this.#context.catalog.layout.version(datastoreId, imageSetId, from),
      ...edit,
      rules: { force, isPrimary },
      versionFolder: folder,
    });
    const version: ImageSetVersion = {
      imageSetId,
      datastoreId,
      version: latest.version + 1,
      workflowStatus: 'UPDATED',
      ...(force ? { forced: true } : {}),
      createdAt,
      updatedAt: nowSeconds(),
      isPrimary,
      ...made,
    };
    return { folder, version };
  }

  async #run<I>(folder: string, task: TaskReference<I, ChangeOutcome>, input: I) {
    try {
      const outcome = await this.#context.pool.run(task, input);
      if (outcome.kind === 'refused') throw new ServiceError(outcome.name, outcome.message);
      if (outcome.kind === 'disk-full') {
        throw new ServiceError('InternalServerException', 'The disk of the server is full. Nothing was changed.');
      }
      return { dicomTags: outcome.dicomTags, identityDigest: outcome.identityDigest };
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** The primary image set that a promoted one joins; undefined when its series has none yet. */
  #primaryForPromotion(source: ImageSetVersion): ImageSetVersion | undefined {
    if (source.isPrimary) throw validation('The image set is primary already.');
    const others = this.#primariesOfStudy(source);
    if (others.some(({ identityDigest }) => identityDigest !== source.identityDigest)) {
      throw conflict('The image set differs from its study in patient or study attributes. Update them first.');
    }
    return others.find(({ dicomTags }) => dicomTags.DICOMSeriesInstanceUID === source.dicomTags.DICOMSeriesInstanceUID);
  }

  /** Other primary image sets of the same study. */
  #primariesOfStudy({ datastoreId, imageSetId, dicomTags }: ImageSetVersion): ImageSetVersion[] {
    return [...this.#context.catalog.datastore(datastoreId).imageSets.values()].filter(
      (each) =>
        each.isPrimary &&
        each.imageSetId !== imageSetId &&
        each.dicomTags.DICOMStudyInstanceUID === dicomTags.DICOMStudyInstanceUID,
    );
  }

  #latest(datastoreId: string, imageSetId: string, version: number): ImageSetVersion {
    const latest = this.#context.catalog.imageSet(datastoreId, imageSetId);
    if (latest.version !== version)
      throw conflict(`The latest version of image set ${imageSetId} is ${latest.version}.`);
    return latest;
  }

  async #locked<T>(datastoreId: string, imageSetIds: readonly string[], work: () => Promise<T>): Promise<T> {
    for (const id of imageSetIds) {
      this.#context.catalog.imageSet(datastoreId, id);
      this.#context.states.refuseLocked(id);
    }
    const release = await this.#context.locks.acquire(datastoreId);
    try {
      return await work();
    } finally {
      release();
    }
  }

  #stagingFolder(): string {
    return join(this.#context.catalog.layout.tmp, `change-${randomUUID()}`);
  }

  async #discard(staged: readonly StagedVersion[]): Promise<void> {
    for (const { folder } of staged) await rm(folder, { recursive: true, force: true }).catch(() => undefined);
  }
}

const quota = (message: string): ServiceError => new ServiceError('ServiceQuotaExceededException', message);
