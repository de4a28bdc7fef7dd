import { type ComputePool, ThreadPool } from '../../src/compute/pool.ts';
import type { ExecutionContext } from '../../src/pipeline/operator.ts';
import { PhaseClock } from '../../src/pipeline/phase-clock.ts';

/** A context for running operators; `warnings` collects what they warn of. */
export interface TestContext extends ExecutionContext {
  readonly warnings: string[];
  close(): Promise<void>;
}

export function testContext(
  options: { pool?: ComputePool; signal?: AbortSignal; scratchDir?: string } = {},
): TestContext {
  const pool = options.pool ?? new ThreadPool(2);
  const warnings: string[] = [];
  return {
    signal: options.signal ?? new AbortController().signal,
    pool,
    scratchDir: options.scratchDir ?? '/nonexistent',
    clock: new PhaseClock(),
    warn: (message) => void warnings.push(message),
    warnings,
    close: () => pool.close(),
  };
}
