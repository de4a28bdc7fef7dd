/** One writer at a time per key (a data store); writers wait in the order they came. */
export class WriteLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /** Waits for the key and gives back what releases it. */
  async acquire(key: string): Promise<() => void> {
    const before = this.#tails.get(key);
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const tail = (before ?? Promise.resolve()).then(() => held);
    this.#tails.set(key, tail);
    await before;
    return () => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
      release();
    };
  }
}
