/** Names the phases of the demo and how long each took. */
export class Stopwatch {
  readonly #phases: { readonly phase: string; readonly ms: number }[] = [];
  readonly #startedAt = performance.now();
  readonly #onPhase: (phase: string) => void;

  constructor(onPhase: (phase: string) => void) {
    this.#onPhase = onPhase;
  }

  async time<T>(phase: string, work: () => Promise<T> | T): Promise<T> {
    this.#onPhase(phase);
    const from = performance.now();
    const result = await work();
    this.#phases.push({ phase, ms: performance.now() - from });
    return result;
  }

  get phases(): readonly { readonly phase: string; readonly ms: number }[] {
    return this.#phases;
  }

  get totalMs(): number {
    return performance.now() - this.#startedAt;
  }
}
