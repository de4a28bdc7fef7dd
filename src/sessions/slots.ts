/**
 * The right to run one window on one session child. The front hands slots out, so that at most `WORKERS` windows run
 * at once over all children and models take turns; the pipeline process then talks to the child directly.
 */
export interface SlotGrant {
  readonly grantId: number;
  /** Unix socket of the session child. */
  readonly socketPath: string;
  /** Which of the child's sessions to run (a GPU child holds several). */
  readonly sessionId: string;
}

/**
 * How a slot ended: `done` (the child is idle again), `lost` (the child's socket closed in mid-run), `abandoned` (nobody
 * waits for the answer any more: the child may still be running).
 */
export type SlotOutcome = 'done' | 'lost' | 'abandoned';

/** Port: hands out slots. The front's is the session pool; a pipeline process has one that asks the front. */
export interface SlotBroker {
  /**
   * Waits for a slot of a loaded model.
   *
   * @throws EndpointError the signal's reason; `worker_crashed` when no child can be started; `model_not_found`
   */
  acquire(modelKey: string, signal: AbortSignal): Promise<SlotGrant>;
  release(grant: SlotGrant, outcome: SlotOutcome): void;
  /** A slot of a loaded model where one is free this moment, without waiting; undefined otherwise. */
  offer?(modelKey: string): SlotGrant | undefined;
}
