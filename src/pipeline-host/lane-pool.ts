import type { BackgroundPlan } from '../api/background-status.ts';
import type { ModelFacts } from '../handlers/contract.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { Logger } from '../logger.ts';
import { Lane, type LaneProcess } from './lane.ts';
import type { Errand, PipelineModel } from './protocol.ts';

export interface LanePoolOptions {
  /** Most processes. */
  readonly processes: number;
  readonly start: (onExit: (leftPrefixUris: readonly string[]) => void) => LaneProcess;
  /** Called when a lane has become idle, or is gone. */
  readonly onChange: () => void;
  readonly logger: Logger;
}

/** A process that holds this much more than at its start after a job is replaced. */
const keptGrowthBytes = 160 * 1024 ** 2;

/** The pipeline processes: one is always there, more start up to the limit, one that dies is replaced. */
export class LanePool {
  readonly #options: LanePoolOptions;
  readonly #lanes = new Set<Lane>();
  readonly #idle: Lane[] = [];
  #closed = false;
  #failedStarts = 0;
  #crashes = 0;

  constructor(options: LanePoolOptions) {
    this.#options = options;
    this.#spawn();
  }

  get lanes(): ReadonlySet<Lane> {
    return this.#lanes;
  }

  /** The lane that gets the next job. */
  get idle(): Lane | undefined {
    return this.#idle.at(-1);
  }

  /** Processes that died, except by `close` and to give memory back. */
  get crashes(): number {
    return this.#crashes;
  }

  /** Starts in a row that failed before the process was ready. */
  get failedStarts(): number {
    return this.#failedStarts;
  }

  /** Lanes with a job, of one model or of all. */
  running(modelName?: string): Lane[] {
    return [...this.#lanes].filter(({ job }) => job && (modelName === undefined || job.modelName === modelName));
  }

  /** Resolves when a process is ready to work. */
  async whenReady(): Promise<void> {
    await this.#any().process.ready;
  }

  /** Takes a lane that is idle for a job. */
  take(lane: Lane): void {
    const at = this.#idle.indexOf(lane);
    if (at >= 0) this.#idle.splice(at, 1);
  }

  /**
   * The job of a lane is over: it takes the next one, or makes room for a new process when it has grown big. What
   * garbage collection gives back of it comes late and is about half (measured), and the next job would come on top.
   */
  giveBack(lane: Lane): void {
    if (lane.growth.bytes > keptGrowthBytes && !lane.process.preparing && this.#lanes.has(lane)) {
      lane.retired = true;
      this.#options.logger.debug({ bytes: lane.growth.bytes }, 'a pipeline process gives its memory back');
      lane.process.kill();
    }
    this.#becameIdle(lane);
  }

  /** Starts another process when none is idle and there may be more. */
  grow(): void {
    if (!this.#closed && this.#idle.length === 0 && this.#lanes.size < this.#options.processes) this.#spawn();
  }

  /** Runs a model's `initialize` in a process, which may have a job. Throws EndpointError as it does. */
  async prepare(model: PipelineModel, signature: NetworkSignature | undefined): Promise<ModelFacts> {
    for (;;) {
      const lane = this.#any();
      await lane.process.ready;
      if (!lane.retired) return await lane.process.prepare(model, signature);
    }
  }

  /** Has a process, which may have a job, do a small work. Throws EndpointError as it does. */
  async errand(errand: Errand, signal: AbortSignal): Promise<BackgroundPlan | undefined> {
    for (;;) {
      const lane = this.#any();
      await lane.process.ready;
      if (!lane.retired) return await lane.process.errand(errand, signal);
    }
  }

  close(): void {
    this.#closed = true;
    for (const { process } of this.#lanes) process.kill();
  }

  #becameIdle(lane: Lane): void {
    if (this.#lanes.has(lane) && !lane.retired) this.#idle.push(lane);
    this.#options.onChange();
  }

  #spawn(): Lane {
    const lane: Lane = new Lane(this.#options.start((leftPrefixUris) => this.#lost(lane, leftPrefixUris)));
    this.#lanes.add(lane);
    lane.process.ready.then(
      async () => {
        this.#failedStarts = 0;
        await lane.growth.noteBase();
        this.#becameIdle(lane);
      },
      () => {
        this.#failedStarts++;
      },
    );
    return lane;
  }

  #lost(lane: Lane, leftPrefixUris: readonly string[]): void {
    this.#lanes.delete(lane);
    this.take(lane);
    if (this.#closed) return;
    if (!lane.retired) {
      this.#crashes++;
      this.#options.logger.error({ pid: lane.process.pid }, 'a pipeline process died');
    }
    // A start that fails at once must not become a busy loop of starts.
    const delayMs = this.#failedStarts === 0 ? 0 : Math.min(5000, 100 * 2 ** this.#failedStarts);
    setTimeout(() => {
      if (this.#closed) return;
      if (this.#lanes.size === 0) this.#spawn();
      for (const prefixUri of leftPrefixUris) void this.#discard(prefixUri);
      this.#options.onChange();
    }, delayMs).unref();
  }

  async #discard(prefixUri: string): Promise<void> {
    const { process } = this.#any();
    await process.ready.catch(() => undefined);
    process.discard(prefixUri);
  }

  #any(): Lane {
    return this.#idle.at(-1) ?? [...this.#lanes].find(({ retired }) => !retired) ?? this.#spawn();
  }
}
