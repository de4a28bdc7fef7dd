import { LRUCache } from 'lru-cache';

/** A process without a network: Node, onnxruntime, and what a run needs besides the weights (design §2). */
const processBytes = 100 * 1024 * 1024;
/** Weights, their copy in the layout that the CPU likes, and activations. */
const bytesPerOnnxByte = 5;
const keptPeaks = 10_000;

/** How much memory a model will need: what it needed before, else a rule of thumb on its ONNX file. */
export class MemoryEstimates {
  readonly #provider: string;
  readonly #peaks = new LRUCache<string, number>({ max: keptPeaks });

  /** @param provider - execution provider on which the peaks are measured */
  constructor(provider: string) {
    this.#provider = provider;
  }

  estimateBytes(digest: string, onnxBytes: number): number {
    return this.#peaks.get(this.#key(digest)) ?? processBytes + bytesPerOnnxByte * onnxBytes;
  }

  /** Notes what one process of the model has held; smaller values than before change nothing. */
  record(digest: string, peakBytes: number): void {
    const key = this.#key(digest);
    if (peakBytes > (this.#peaks.get(key) ?? 0)) this.#peaks.set(key, peakBytes);
  }

  #key(digest: string): string {
    return `${this.#provider} ${digest}`;
  }
}
