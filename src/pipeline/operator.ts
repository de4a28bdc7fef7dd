import type { ComputePool } from '../compute/pool.ts';
import { noSpan, type Span } from '../tracing/span.ts';
import { traced } from '../tracing/traced.ts';
import type { PhaseClock } from './phase-clock.ts';

/** What every operator of a run shares. */
export interface ExecutionContext {
  readonly signal: AbortSignal;
  readonly pool: ComputePool;
  readonly scratchDir: string;
  readonly clock: PhaseClock;
  /** Span of what runs now; its parts are begun under it. Default: nothing is traced. */
  readonly span?: Span | undefined;
  /** Adds a sentence to the answer's `warnings`. No patient data. */
  warn(message: string): void;
}

/** Runs one operator, within a span of its name. */
export function runOperator<Inputs extends object, Outputs extends object>(
  operator: Operator<Inputs, Outputs>,
  inputs: Inputs,
  context: ExecutionContext,
): Promise<Outputs> {
  const span = (context.span ?? noSpan).child(operator.name);
  return traced(span, () => operator.compute(inputs, { ...context, span }));
}

/**
 * One step of an application: takes named inputs, gives named outputs. The idea and the names of the operators are the
 * MONAI Deploy App SDK's.
 */
export interface Operator<Inputs extends object, Outputs extends object> {
  readonly name: string;
  compute(inputs: Inputs, context: ExecutionContext): Promise<Outputs>;
}
