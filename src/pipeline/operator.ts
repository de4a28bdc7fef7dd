import type { ComputePool } from '../compute/pool.ts';
import type { PhaseClock } from './phase-clock.ts';

/** What every operator of a run shares. */
export interface ExecutionContext {
  readonly signal: AbortSignal;
  readonly pool: ComputePool;
  readonly scratchDir: string;
  readonly clock: PhaseClock;
  /** Adds a sentence to the answer's `warnings`. No patient data. */
  warn(message: string): void;
}

/**
 * One step of an application: takes named inputs, gives named outputs. The idea and the names of the operators are the
 * MONAI Deploy App SDK's.
 */
export interface Operator<Inputs extends object, Outputs extends object> {
  readonly name: string;
  compute(inputs: Inputs, context: ExecutionContext): Promise<Outputs>;
}
