import type { AnswerRoom } from '../../imaging/network.ts';

/** Bytes of answers that are received before the first of them is added up; one always is. */
const heldBytes = 700_000_000;
/** Answers from this size on share memory that is used again: what is left to the garbage collector stays too long. */
const bigBytes = 64 * 1024 * 1024;

/** Bounds the memory of a network's answers: the next ones are computed, but wait in the session children, in order. */
export class HeldAnswers {
  readonly #bytes: number;
  readonly #most: number;
  readonly #patienceMs: number;
  readonly #waiting = new Map<number, () => void>();
  readonly #memory = new Map<number, Uint8Array<SharedArrayBuffer>>();
  readonly #free: Uint8Array<SharedArrayBuffer>[] = [];
  #next = 0;

  /**
   * @param bytes - of an answer; 0 where nobody knows
   * @param patienceMs - how long an answer waits at most: memory is worth less than the request
   */
  constructor(bytes: number, patienceMs = 60_000) {
    this.#bytes = bytes;
    this.#patienceMs = patienceMs;
    this.#most = Math.max(1, Math.floor(heldBytes / Math.max(1, bytes)));
  }

  /** Room for the answer of a run; undefined where answers are small. */
  roomFor(index: number): AnswerRoom | undefined {
    if (this.#bytes < bigBytes) return undefined;
    return { admit: () => this.#admit(index), memory: (bytes) => this.#memoryFor(index, bytes) };
  }

  #admit(index: number): Promise<void> {
    return new Promise((resolve) => {
      if (index < this.#next + this.#most) {
        resolve();
        return;
      }
      // The first one may have to run again, after a crash, on a place that those who wait here hold.
      const late = setTimeout(resolve, this.#patienceMs).unref();
      this.#waiting.set(index, () => {
        clearTimeout(late);
        resolve();
      });
    });
  }

  #memoryFor(index: number, bytes: number): Uint8Array<SharedArrayBuffer> | undefined {
    if (bytes !== this.#bytes) return undefined;
    const memory = this.#memory.get(index) ?? this.#free.pop() ?? new Uint8Array(new SharedArrayBuffer(this.#bytes));
    this.#memory.set(index, memory);
    return memory;
  }

  /** The answers up to this one are added up: their memory is free. */
  taken(index: number): void {
    const memory = this.#memory.get(index);
    if (memory) this.#free.push(memory);
    this.#memory.delete(index);
    this.#next = index + 1;
    const admitted = this.#next + this.#most - 1;
    this.#waiting.get(admitted)?.();
    this.#waiting.delete(admitted);
  }
}
