import { readFile, writeFile } from 'node:fs/promises';

interface Resident {
  readonly nowBytes: number;
  /** The kernel's high-water mark. */
  readonly peakBytes: number;
}

/** Written to `clear_refs`, it sets the high-water mark back to what is resident now. */
const resetPeak = '5';

/** What a pipeline process holds beyond what it held when it had just started, read from `/proc`; 0 where there is none. */
export class ProcessGrowth {
  readonly #pid: number | undefined;
  #baseBytes: number | undefined;
  #bytes = 0;
  #peakBytes = 0;
  /** The high-water mark when the job began, where it could not be set back. */
  #oldMarkBytes = 0;

  constructor(pid: number | undefined) {
    this.#pid = pid;
  }

  /** False on a system without `/proc`, and until the base is known. */
  get isMeasured(): boolean {
    return this.#baseBytes !== undefined;
  }

  /** What it held before its first job. */
  get baseBytes(): number {
    return this.#baseBytes ?? 0;
  }

  /** As of the last look. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The most since `begin`, as of the last look. */
  get peakBytes(): number {
    return this.#peakBytes;
  }

  /** Notes what the process holds without any work: to be called when it is ready. */
  async noteBase(): Promise<void> {
    const resident = await this.#read();
    if (resident) this.#baseBytes = resident.nowBytes;
  }

  /** A job begins: its peak is counted from here. */
  async begin(): Promise<void> {
    this.#peakBytes = 0;
    const wasReset = await writeFile(`/proc/${this.#pid}/clear_refs`, resetPeak).then(
      () => true,
      () => false,
    );
    this.#oldMarkBytes = wasReset ? 0 : ((await this.#read())?.peakBytes ?? 0);
    await this.look();
  }

  async look(): Promise<void> {
    const resident = await this.#read();
    if (!resident || this.#baseBytes === undefined) return;
    this.#bytes = Math.max(0, resident.nowBytes - this.#baseBytes);
    // A mark that an earlier job left says nothing of this one.
    const markBytes = resident.peakBytes > this.#oldMarkBytes ? resident.peakBytes - this.#baseBytes : 0;
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes, markBytes);
  }

  async #read(): Promise<Resident | undefined> {
    try {
      const status = await readFile(`/proc/${this.#pid}/status`, 'utf8');
      const nowBytes = kibibytes(status, 'VmRSS');
      const peakBytes = kibibytes(status, 'VmHWM');
      return nowBytes === undefined || peakBytes === undefined ? undefined : { nowBytes, peakBytes };
    } catch {
      return undefined; // the process is gone, or this system has no /proc
    }
  }
}

function kibibytes(status: string, key: string): number | undefined {
  const value = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  return value === undefined ? undefined : Number(value) * 1024;
}
