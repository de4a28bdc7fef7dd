import { LRUCache } from 'lru-cache';

/** How big the input of a job is, as far as the front can tell without reading it. */
export interface InputSize {
  /** `data`: the bodies are the images; `named`: they name them. */
  readonly kind: 'data' | 'named';
  /** Bytes of the bodies (`data`), or how many requests name their images (`named`). */
  readonly amount: number;
}

const mebibyte = 1024 ** 2;
/** An imaging job whose size nobody knows yet: a CT volume of 512³ and its copies. */
const namedBytes = 1024 * mebibyte;
/** Unpacked, as float32, in the few copies that transforms hold at once. */
const bytesPerBodyByte = 40;
/** Below this a job takes what an idle process holds anyway. */
const smallBytes = 64 * mebibyte;
const keptPeaks = 10_000;

/**
 * How much memory a job will need beyond what an idle pipeline process holds: what a job of this model and size class
 * has needed before, else a rule of thumb on the input, and not less than the model's biggest job so far.
 */
export class JobMemory {
  /** By digest, and by digest and class. */
  readonly #peaks = new LRUCache<string, number>({ max: keptPeaks });

  estimateBytes(digest: string, input: InputSize): number {
    const ruleBytes = input.amount * (input.kind === 'data' ? bytesPerBodyByte : namedBytes);
    const bytes = this.#peaks.get(classKey(digest, input)) ?? Math.max(ruleBytes, this.#peaks.get(digest) ?? 0);
    return bytes < smallBytes ? 0 : bytes;
  }

  /**
   * Notes what a job has needed at its peak. One that failed or was cancelled may have ended before its peak: it only
   * raises what is known.
   */
  record(digest: string, input: InputSize, peakBytes: number, isWhole: boolean): void {
    if (!isWhole && peakBytes <= this.estimateBytes(digest, input)) return;
    for (const key of [digest, classKey(digest, input)]) {
      if (peakBytes >= (this.#peaks.get(key) ?? 0)) this.#peaks.set(key, peakBytes);
    }
  }
}

/** Inputs within a factor of two are of one class. */
const classKey = (digest: string, { kind, amount }: InputSize): string =>
  `${digest} ${kind} ${Math.ceil(Math.log2(Math.max(1, amount)))}`;
