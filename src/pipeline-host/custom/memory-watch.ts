import { readFile } from 'node:fs/promises';

/** A process is looked at this often: what it takes in between is the overshoot. */
const everyMs = 100;

/** Watches the resident memory of a process from outside, so that a handler that never yields is seen too. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #limitBytes: number;
  readonly #onExceeded: () => void;
  readonly #timer: NodeJS.Timeout;
  #reading = false;
  #lastBytes = 0;
  #exceeded = false;

  /** @param onExceeded - called once */
  constructor(pid: number, limitBytes: number, onExceeded: () => void) {
    this.#pid = pid;
    this.#limitBytes = limitBytes;
    this.#onExceeded = onExceeded;
    this.#timer = setInterval(() => void this.#look(), everyMs);
    this.#timer.unref();
  }

  /**
   * True when the limit was passed.
   *
   * @param aborted - whether the process ended itself by SIGABRT: V8 does so when its heap is full, which lies just over
   *   the limit; other reasons do not come with memory that was nearly spent
   */
  exceeded(aborted: boolean): boolean {
    return this.#exceeded || (aborted && this.#lastBytes > this.#limitBytes / 2);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    if (this.#reading || this.#exceeded) return;
    this.#reading = true;
    const bytes = await residentBytes(this.#pid);
    this.#reading = false;
    this.#lastBytes = bytes ?? this.#lastBytes;
    if (bytes === undefined || bytes <= this.#limitBytes || this.#exceeded) return;
    this.#exceeded = true;
    this.stop();
    this.#onExceeded();
  }
}

/** Undefined when the process is gone or this system has no `/proc`. */
async function residentBytes(pid: number): Promise<number | undefined> {
  try {
    const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
  } catch {
    return undefined;
  }
}
