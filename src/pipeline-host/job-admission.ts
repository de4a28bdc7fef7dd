import type { Lane } from './lane.ts';

/** The memory that jobs share with loaded models. */
export interface SharedMemory {
  readonly budgetBytes: number;
  /** What loaded models hold, or have set aside. */
  readonly modelBytes: () => number;
  /** Unloads idle models, as far as that may be, until no more than this is held; memory comes back a little later. */
  readonly shrinkModels: (toBytes: number) => void;
}

/** Whether there is memory for one more job beside the loaded models and the jobs that run. */
export class JobAdmission {
  readonly #memory: SharedMemory;

  constructor(memory: SharedMemory) {
    this.#memory = memory;
  }

  /**
   * One job may always run. Of others, those that need next to nothing are never held back; a bigger one waits until it
   * fits, and idle models leave to make it fit.
   *
   * @param on - the lane that the job would get: what it holds already is used again
   */
  admits(needBytes: number, lanes: Iterable<Lane>, on: Lane): boolean {
    let heldBytes = 0;
    let running = 0;
    for (const lane of lanes) {
      if (lane.job) running++;
      if (lane !== on) heldBytes += lane.heldBytes;
    }
    if (running === 0 || needBytes === 0) return true;
    const { budgetBytes, modelBytes, shrinkModels } = this.#memory;
    const leftForModels = budgetBytes - heldBytes - on.heldWith(needBytes);
    if (modelBytes() <= leftForModels) return true;
    if (leftForModels > 0) shrinkModels(leftForModels);
    return false;
  }
}
