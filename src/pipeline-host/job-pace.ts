import { LRUCache } from 'lru-cache';

/** Part of the newest job in the running mean: the pace follows a change within a few jobs. */
const newestShare = 0.3;
const keptModels = 1_000;
/** Told while nothing is known: no job has ended yet. */
const unknownSeconds = 5;
const mostSeconds = 600;

/** Requests of a model that wait. */
export interface WaitingRequests {
  readonly modelName: string;
  readonly requests: number;
}

/** How long a model's requests take, learnt from those that ended: what an honest `Retry-After` is made of. */
export class JobPace {
  readonly #meanMs = new LRUCache<string, number>({ max: keptModels });
  #overallMs: number | undefined;

  /** Notes a job that ended by itself; one that was cancelled tells nothing. */
  ended(modelName: string, requests: number, ms: number): void {
    const eachMs = ms / Math.max(1, requests);
    this.#meanMs.set(modelName, mean(this.#meanMs.get(modelName), eachMs));
    this.#overallMs = mean(this.#overallMs, eachMs);
  }

  /**
   * Seconds in which half of what waits will have begun, when `lanes` jobs run at once: then there is room again, also
   * for others who were refused in the same moment.
   */
  retryAfterSeconds(waiting: readonly WaitingRequests[], lanes: number): number {
    let workMs = 0;
    for (const { modelName, requests } of waiting) {
      const eachMs = this.#meanMs.get(modelName) ?? this.#overallMs;
      if (eachMs === undefined) return unknownSeconds;
      workMs += requests * eachMs;
    }
    return Math.min(mostSeconds, Math.max(1, Math.ceil(workMs / Math.max(1, lanes) / 2 / 1000)));
  }
}

const mean = (before: number | undefined, newest: number): number =>
  before === undefined ? newest : before + newestShare * (newest - before);
