import type { ErrorBody } from '../errors.ts';
import type { InvocationAnswer } from './invocation.ts';

/** `status.json` beside the outputs of a background request. `result.json` stays the mark of a result. */
export interface BackgroundStatus {
  readonly state: 'QUEUED' | 'RUNNING' | 'SUCCEEDED' | 'FAILED';
  readonly inferenceId: string;
  /** What the request was: another one may not take its place. */
  readonly fingerprint: string;
  /** ISO 8601. A QUEUED or RUNNING one that is older than a minute belongs to a server that is gone. */
  readonly updatedAt: string;
  /** Of the work, while it runs. */
  readonly phase?: string;
  /** 0 to 1. */
  readonly fraction?: number;
  readonly result?: InvocationAnswer;
  readonly error?: ErrorBody;
}

/** What a pipeline process finds out of a background request before it is accepted. */
export interface BackgroundPlan {
  /** `{output.uri}/{model}/{inferenceId}/` */
  readonly prefixUri: string;
  readonly inferenceId: string;
  readonly fingerprint: string;
  /** The committed answer of this very request. */
  readonly answer?: InvocationAnswer;
  /** The last status of this very request. */
  readonly status?: BackgroundStatus;
}
