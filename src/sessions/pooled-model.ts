import type { Seat } from './seats.ts';

/**
 * Memory of a busy child is read this often: the kernel walks all its pages for that, some milliseconds, and the child
 * that wants new ones waits.
 */
const measureEveryMs = 2000;
/** After a pause of this length it is read once more, so that the last window of a burst counts too. */
const measurePauseMs = 500;

/** A model in the pool: its seats, what runs on them, and its measured memory. */
export class PooledModel {
  readonly key: string;
  readonly onnxPath: string;
  readonly seats = new Set<Seat>();
  /** Loads under way. */
  readonly seating = new Set<Promise<Seat>>();
  readonly #closed = new AbortController();
  readonly #windows = new Map<Seat, number>();
  readonly #idleTimers = new Map<Seat, NodeJS.Timeout>();
  readonly #measuredAt = new WeakMap<Seat, number>();
  readonly #measureTimers = new Map<Seat, NodeJS.Timeout>();
  #onIdle: (() => void) | undefined;
  #peakBytes = 0;

  constructor(key: string, onnxPath: string) {
    this.key = key;
    this.onnxPath = onnxPath;
  }

  /** True once the model takes no new windows. */
  get closing(): boolean {
    return this.#closed.signal.aborted;
  }

  /** From now on the model takes no new windows. */
  close(): void {
    this.#closed.abort();
  }

  /** Aborted when the model is being unloaded. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  get usedBytes(): number {
    let bytes = 0;
    for (const seat of this.seats) bytes += seatBytes(seat);
    return bytes;
  }

  get peakBytes(): number {
    for (const seat of this.seats) this.#peakBytes = Math.max(this.#peakBytes, seatBytes(seat));
    return this.#peakBytes;
  }

  windowStarted(seat: Seat): void {
    this.#windows.set(seat, (this.#windows.get(seat) ?? 0) + 1);
    clearTimeout(this.#idleTimers.get(seat));
    this.#idleTimers.delete(seat);
  }

  windowEnded(seat: Seat): void {
    const left = (this.#windows.get(seat) ?? 1) - 1;
    if (left > 0) this.#windows.set(seat, left);
    else this.#windows.delete(seat);
    if (this.#windows.size === 0) this.#onIdle?.();
    this.#measureSoon(seat);
  }

  #measureSoon(seat: Seat): void {
    if (performance.now() - (this.#measuredAt.get(seat) ?? Number.NEGATIVE_INFINITY) >= measureEveryMs)
      this.#measure(seat);
    const pending = this.#measureTimers.get(seat)?.refresh();
    if (pending) return;
    const timer = setTimeout(() => {
      this.#measureTimers.delete(seat);
      this.#measure(seat);
    }, measurePauseMs);
    timer.unref();
    this.#measureTimers.set(seat, timer);
  }

  #measure(seat: Seat): void {
    this.#measuredAt.set(seat, performance.now());
    void seat.child.measure();
  }

  /** Calls `onIdle` when the seat has had no window for a while and isn't the model's last. */
  whenSeatIdle(seat: Seat, idleMs: number, onIdle: () => void): void {
    if (this.#windows.has(seat)) return;
    const timer = setTimeout(() => {
      this.#idleTimers.delete(seat);
      if (this.seats.size > 1 && this.seats.has(seat) && !this.#windows.has(seat)) onIdle();
    }, idleMs);
    timer.unref();
    this.#idleTimers.set(seat, timer);
  }

  /** Resolves when no window runs, at the latest after `limitMs`. */
  whenIdle(limitMs: number): Promise<void> {
    if (this.#windows.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, limitMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Resolves when no load is under way. */
  async whenSeated(): Promise<void> {
    await Promise.allSettled([...this.seating]);
  }
}

function seatBytes(seat: Seat): number {
  return seat.deviceBytes > 0 ? seat.deviceBytes : seat.child.memory.peakBytes;
}
