import { join } from 'node:path';
import { EndpointError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { SessionChild } from './session-child.ts';

export interface ChildSupplyOptions {
  /** Private folder of the sockets; its path is short. */
  readonly socketDir: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logger: Logger;
}

/** Makes session children and keeps a started one in reserve, so that a load or a restart need not wait for a start. */
export class ChildSupply {
  readonly #options: ChildSupplyOptions;
  readonly #children = new Set<SessionChild>();
  #spare: SessionChild | undefined;
  #refill: NodeJS.Timeout | undefined;
  #failedStarts = 0;
  #nextId = 0;
  #closed = false;

  constructor(options: ChildSupplyOptions) {
    this.#options = options;
  }

  /** Every child that lives, the spare included. */
  get children(): ReadonlySet<SessionChild> {
    return this.#children;
  }

  get spare(): SessionChild | undefined {
    return this.#spare;
  }

  /** Starts in a row that failed before the child was ready, or in making it hold a network that it held before. */
  get failedStarts(): number {
    return this.#failedStarts;
  }

  /** Makes sure that a spare is there or on its way. */
  prepareSpare(): void {
    if (this.#closed || this.#spare) return;
    clearTimeout(this.#refill);
    const child = this.#spawn();
    this.#spare = child;
    child.started.then(
      () => this.succeeded(),
      () => this.failed(),
    );
    void child.exited.then(() => {
      if (this.#spare !== child) return;
      this.#spare = undefined;
      // Goes on trying, so that a passing shortage heals, but never in a busy loop.
      this.#refill = setTimeout(() => this.prepareSpare(), this.#retryDelayMs);
      this.#refill.unref();
    });
  }

  /** The wait before the next try after failed starts. */
  get #retryDelayMs(): number {
    return this.#failedStarts === 0 ? 0 : Math.min(5_000, 100 * 2 ** this.#failedStarts);
  }

  /** A started child, the spare if there is one. The caller then owns it. Throws EndpointError `worker_crashed`. */
  async take(): Promise<SessionChild> {
    if (this.#closed) throw new EndpointError('overloaded', 'The server is shutting down.');
    const spare = this.#spare;
    this.#spare = undefined;
    if (spare && !spare.gone) {
      await spare.started;
      return spare;
    }
    const child = this.#spawn();
    try {
      await child.started;
    } catch (thrown) {
      this.failed();
      throw thrown;
    }
    this.succeeded();
    return child;
  }

  succeeded(): void {
    this.#failedStarts = 0;
  }

  failed(): void {
    if (this.#closed) return;
    this.#failedStarts++;
    this.#options.logger.error({ failedStarts: this.#failedStarts }, 'a session child could not be started');
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#refill);
    await Promise.all([...this.#children].map((child) => child.end()));
  }

  #spawn(): SessionChild {
    const socketPath = join(this.#options.socketDir, `${(this.#nextId++).toString(36)}.s`);
    const child = new SessionChild(socketPath, this.#options.environment);
    this.#children.add(child);
    void child.exited.then(() => this.#children.delete(child));
    return child;
  }
}
