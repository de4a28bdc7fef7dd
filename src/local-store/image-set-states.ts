import { conflict } from './service-error.ts';

/** What is being done to an image set: its `imageSetWorkflowStatus` meanwhile. */
export type WorkInProgress =
  | 'COPYING'
  | 'COPYING_WITH_READ_ONLY_ACCESS'
  | 'DELETING'
  | 'IMPORTING'
  | 'UPDATING'
  | 'UPDATING_FOR_STUDY_CONSISTENCY';

/**
 * Which image sets are LOCKED, because a change of them is under way. Kept in memory: a change that a crash ends has
 * not happened, and nothing stays locked.
 */
export class ImageSetStates {
  readonly #busy = new Map<string, WorkInProgress>();

  of(imageSetId: string): WorkInProgress | undefined {
    return this.#busy.get(imageSetId);
  }

  /** @throws ServiceError `ConflictException` for a LOCKED image set */
  refuseLocked(imageSetId: string): void {
    const status = this.#busy.get(imageSetId);
    if (status !== undefined)
      throw conflict(`Image set ${imageSetId} is locked (${status}). Try again when it is ACTIVE.`);
  }

  /** Locks an image set while `work` runs; the caller has the data store's write lock. */
  async during<T>(imageSetIds: ReadonlyMap<string, WorkInProgress>, work: () => Promise<T>): Promise<T> {
    for (const [id, status] of imageSetIds) this.#busy.set(id, status);
    try {
      return await work();
    } finally {
      for (const id of imageSetIds.keys()) this.#busy.delete(id);
    }
  }
}
