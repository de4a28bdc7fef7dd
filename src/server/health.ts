import { Router } from 'express';

/** What readiness is made of; values are read at each probe. */
export interface HealthSources {
  /** Starts of child processes that failed in a row. */
  readonly consecutiveFailedStarts: () => number;
  /** Degradations that do not stop the work: a fallback to another execution provider, say. */
  readonly warnings: () => readonly string[];
}

/** Failed child starts in a row after which the server calls itself unwell. */
const unwellAfterFailedStarts = 3;

/** Liveness and readiness of the server. */
export class Health {
  readonly #sources: HealthSources;
  #started = false;
  #draining = false;

  constructor(sources: HealthSources) {
    this.#sources = sources;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** The processes that take work are up. */
  start(): void {
    this.#started = true;
  }

  /** From now on the server takes no new work. */
  drain(): void {
    this.#draining = true;
  }

  get ready(): boolean {
    return !this.#draining && this.#started && !this.#failing();
  }

  /** Why the server isn't ready, and what is degraded. */
  describe(): { ready: boolean; draining: boolean; childStartsFail: boolean; warnings: readonly string[] } {
    return {
      ready: this.ready,
      draining: this.#draining,
      childStartsFail: this.#failing(),
      warnings: this.#sources.warnings(),
    };
  }

  #failing(): boolean {
    return this.#sources.consecutiveFailedStarts() >= unwellAfterFailedStarts;
  }
}

/** `/healthz` (the process answers) and `/readyz` (it takes work). */
export function probesRouter(health: Health): Router {
  const router = Router();
  router.get('/healthz', (_request, response) => {
    response.json({ alive: true });
  });
  router.get('/readyz', (_request, response) => {
    response.status(health.ready ? 200 : 503).json(health.describe());
  });
  return router;
}
