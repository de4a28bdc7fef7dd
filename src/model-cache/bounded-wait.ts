import { EndpointError } from '../errors.ts';

/** Requests that wait for their model: a download may take minutes, and they must not pile up meanwhile. */
export class BoundedWait {
  readonly #max: number;
  #waiting = 0;

  constructor(max: number) {
    this.#max = max;
  }

  /** Throws EndpointError `overloaded` when too many wait already. */
  async during<T>(work: () => Promise<T>): Promise<T> {
    if (this.#waiting >= this.#max) {
      throw new EndpointError('overloaded', `${this.#max} requests wait for their models already. Try again later.`);
    }
    this.#waiting++;
    try {
      return await work();
    } finally {
      this.#waiting--;
    }
  }
}
