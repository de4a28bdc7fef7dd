import { readdir, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';

/** A folder is gone this long after its request at the latest, and one look serves all requests of that time. */
const sweepAfterMs = 20;

/**
 * Removes the scratch folders of requests that are over. Small requests make none, and to look for each one's folder by
 * itself costs the front more than anything else that it does for them: they are looked for together.
 */
export class ScratchSweep {
  readonly #root: string;
  readonly #over = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  /** @param root - parent folder of the requests' folders */
  constructor(root: string) {
    this.#root = root;
  }

  /** A request's folder is not needed any more, if there is one. */
  discard(scratchDir: string): void {
    this.#over.add(basename(scratchDir));
    this.#timer ??= setTimeout(() => void this.#sweep(), sweepAfterMs);
  }

  async #sweep(): Promise<void> {
    const over = [...this.#over];
    this.#over.clear();
    const left = await this.#remove(over);
    this.#timer = this.#over.size > 0 ? setTimeout(() => void this.#sweep(), sweepAfterMs) : undefined;
    // What cannot be removed now is tried again with the next ones.
    for (const name of left) this.#over.add(name);
  }

  /** Gives the names of those that are still there. */
  async #remove(names: readonly string[]): Promise<readonly string[]> {
    let there: Set<string>;
    try {
      there = new Set(await readdir(this.#root));
    } catch (thrown) {
      const isMissing = thrown instanceof Error && 'code' in thrown && thrown.code === 'ENOENT';
      return isMissing ? [] : names;
    }
    const left: string[] = [];
    for (const name of names) {
      if (there.has(name))
        await rm(join(this.#root, name), { recursive: true, force: true }).catch(() => left.push(name));
    }
    return left;
  }
}
