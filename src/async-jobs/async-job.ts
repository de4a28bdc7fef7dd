import type { ErrorBody } from '../errors.ts';

/** An accepted asynchronous invocation, as it stands in its record: all that is needed to run it again. */
export interface AsyncJob {
  /** Unique; names the job's folder and, where the caller gave no file name, its output. */
  readonly jobId: string;
  /** The caller's, else the job's own id. It reaches the model's handler, so a second run writes the same results. */
  readonly inferenceId: string;
  readonly endpointName: string;
  /** Epoch milliseconds. */
  readonly receivedAtMs: number;
  /** How long it may wait for its turn. */
  readonly ttlSeconds: number;
  /** How long it may run. */
  readonly timeoutSeconds: number;
  /** Where the body lies; undefined: it came with the call and lies in the job's folder. */
  readonly inputUri?: string | undefined;
  /** What the model's handler sees, lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** Where the answer goes, or the error in its place. */
  readonly outputUri: string;
  readonly failureUri: string;
}

/** How a job ended, kept until its output is written and told. The answer's bytes lie beside it. */
export type AsyncOutcome =
  | { readonly ok: true; readonly contentType: string }
  | { readonly ok: false; readonly error: ErrorBody & { readonly status: number } };
