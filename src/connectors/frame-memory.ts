/** Grown in such steps, so that frames of a series, which differ by a little, seldom need a new piece. */
const stepBytes = 64 * 1024;

/**
 * Memory for one encoded frame at a time, used again for the next. It is shared: a compute thread reads the frame where
 * it arrived. Without it each frame costs a copy to its thread, and garbage that makes both collect.
 */
export class FrameMemory {
  #memory = new SharedArrayBuffer(0);

  /** Room for so many bytes. What an earlier call gave is overwritten with it. */
  take(lengthBytes: number): Uint8Array {
    if (this.#memory.byteLength < lengthBytes) {
      this.#memory = new SharedArrayBuffer(Math.ceil((lengthBytes * 1.25) / stepBytes) * stepBytes);
    }
    return new Uint8Array(this.#memory, 0, lengthBytes);
  }
}
