import type { PipelineProcess } from './pipeline-process.ts';
import { ProcessGrowth } from './process-growth.ts';

/** A job on a lane. */
interface LaneJob {
  readonly modelName: string;
  /** Memory that was set aside for it. */
  readonly needBytes: number;
  readonly startedAt: number;
}

/** What a lane needs of its process; a fake one is given in tests. */
export type LaneProcess = Pick<
  PipelineProcess,
  'pid' | 'ready' | 'preparing' | 'prepare' | 'errand' | 'run' | 'cancelRequest' | 'discard' | 'kill'
>;

/** A job that ends before is not measured: to look at a process takes longer than such a job may. */
const measureAfterMs = 20;

/** A pipeline process in the host's pool: what runs on it and what memory it holds. */
export class Lane {
  readonly process: LaneProcess;
  readonly growth: ProcessGrowth;
  /** True once it takes no more jobs. */
  retired = false;
  #job: LaneJob | undefined;
  #measuring: Promise<void> | undefined;
  #measureTimer: NodeJS.Timeout | undefined;

  constructor(process: LaneProcess, growth = new ProcessGrowth(process.pid)) {
    this.process = process;
    this.growth = growth;
  }

  get job(): LaneJob | undefined {
    return this.#job;
  }

  /** Memory that it holds, or will hold when its job is at its peak. */
  get heldBytes(): number {
    return this.heldWith(this.#job?.needBytes ?? 0);
  }

  /** Memory that it would hold with a job that needs so much. */
  heldWith(needBytes: number): number {
    return this.growth.baseBytes + Math.max(needBytes, this.growth.bytes);
  }

  begin(modelName: string, needBytes: number): void {
    this.#job = { modelName, needBytes, startedAt: performance.now() };
    this.#measureTimer = setTimeout(() => {
      this.#measuring = this.growth.begin();
    }, measureAfterMs);
  }

  /** A look at the memory of a running job, so that one that outgrows its estimate counts as what it is. */
  async look(): Promise<void> {
    if (this.#measuring) await this.growth.look();
  }

  /** The job is over. Gives its peak, 0 for one that was too short to be measured; undefined where nothing can be. */
  async end(): Promise<number | undefined> {
    clearTimeout(this.#measureTimer);
    const measuring = this.#measuring;
    this.#measuring = undefined;
    this.#job = undefined;
    if (!this.growth.isMeasured) return undefined;
    if (!measuring) return 0;
    await measuring;
    await this.growth.look();
    return this.growth.peakBytes;
  }
}
