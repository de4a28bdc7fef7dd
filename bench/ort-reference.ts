import { fileURLToPath } from 'node:url';
import { JsonProcess } from './json-process.ts';

/**
 * The least time that this machine needs for the network alone: the same number of windows on two idle processes of
 * one thread each, no transfer, no transforms, nothing else going on.
 */
export class OrtReference {
  readonly #children: readonly JsonProcess[];
  readonly #windows: number;
  readonly #size: number;

  constructor(options: { modelPath: string; windows: number; windowSize: number; processes: number }) {
    const child = fileURLToPath(new URL('./ort-reference-child.mjs', import.meta.url));
    this.#children = Array.from(
      { length: options.processes },
      () => new JsonProcess(process.execPath, [child, options.modelPath]),
    );
    this.#windows = options.windows;
    this.#size = options.windowSize;
  }

  /** Milliseconds for all windows, shared out evenly. */
  async run(): Promise<number> {
    const count = this.#children.length;
    const from = performance.now();
    await Promise.all(
      this.#children.map((child, index) => {
        const windows = Math.floor((this.#windows + index) / count);
        return child.ask({ windows, size: this.#size });
      }),
    );
    return performance.now() - from;
  }

  async close(): Promise<void> {
    await Promise.all(this.#children.map((child) => child.close()));
  }
}
