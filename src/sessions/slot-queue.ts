import type { SlotGrant } from './slots.ts';

/** A window that waits for a slot. */
export interface Waiter {
  readonly since: number;
  readonly resolve: (grant: SlotGrant) => void;
  readonly reject: (error: Error) => void;
}

/** Windows that wait, by model: first come first served within a model, models take turns. */
export class SlotQueue {
  /** In order of turns: the model that was served last stands last. */
  readonly #waiting = new Map<string, Waiter[]>();

  /** Models that have windows waiting, next turn first. */
  get modelKeys(): string[] {
    return [...this.#waiting.keys()];
  }

  waiting(modelKey: string): number {
    return this.#waiting.get(modelKey)?.length ?? 0;
  }

  /** When the model's first waiting window came in. */
  oldest(modelKey: string): number | undefined {
    return this.#waiting.get(modelKey)?.[0]?.since;
  }

  push(modelKey: string, waiter: Waiter): void {
    const waiters = this.#waiting.get(modelKey);
    if (waiters) waiters.push(waiter);
    else this.#waiting.set(modelKey, [waiter]);
  }

  /** Takes the first window of the first model in turn for which `isServable` holds; that model goes to the end. */
  next(isServable: (modelKey: string) => boolean): { modelKey: string; waiter: Waiter } | undefined {
    for (const [modelKey, waiters] of this.#waiting) {
      if (!isServable(modelKey)) continue;
      const waiter = waiters.shift() as Waiter;
      this.#waiting.delete(modelKey);
      if (waiters.length > 0) this.#waiting.set(modelKey, waiters);
      return { modelKey, waiter };
    }
    return undefined;
  }

  /** Takes a window out; false when it no longer waits. */
  remove(modelKey: string, waiter: Waiter): boolean {
    const waiters = this.#waiting.get(modelKey);
    const at = waiters?.indexOf(waiter) ?? -1;
    if (!waiters || at < 0) return false;
    waiters.splice(at, 1);
    if (waiters.length === 0) this.#waiting.delete(modelKey);
    return true;
  }

  /** Refuses all windows of a model. */
  rejectAll(modelKey: string, error: Error): void {
    const waiters = this.#waiting.get(modelKey) ?? [];
    this.#waiting.delete(modelKey);
    for (const waiter of waiters) waiter.reject(error);
  }
}
