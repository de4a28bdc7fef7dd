import { abortError, EndpointError, type ErrorBody } from '../errors.ts';
import type { SlotBroker, SlotGrant, SlotOutcome } from '../sessions/slots.ts';
import type { FromPipeline } from './protocol.ts';

interface Waiting {
  readonly resolve: (grant: SlotGrant) => void;
  readonly reject: (error: Error) => void;
}

/** The pipeline process' side of the front's slots: asks by message, waits for the grant. */
export class RemoteSlots implements SlotBroker {
  readonly #send: (message: FromPipeline) => void;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 0;

  constructor(send: (message: FromPipeline) => void) {
    this.#send = send;
  }

  acquire(modelKey: string, signal: AbortSignal): Promise<SlotGrant> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const withdraw = (): void => {
        this.#waiting.delete(id);
        this.#send({ type: 'withdraw', id });
        reject(abortError(signal));
      };
      signal.addEventListener('abort', withdraw, { once: true });
      const settled = (): void => signal.removeEventListener('abort', withdraw);
      this.#waiting.set(id, {
        resolve: (grant) => {
          settled();
          resolve(grant);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      this.#send({ type: 'acquire', id, modelKey });
    });
  }

  release(grant: SlotGrant, outcome: SlotOutcome): void {
    this.#send({ type: 'release', grantId: grant.grantId, outcome });
  }

  /** A grant came in; one that nobody waits for any more (withdrawn meanwhile) goes back at once. */
  granted(id: number, grant: SlotGrant): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (waiting) waiting.resolve(grant);
    else this.release(grant, 'done');
  }

  refused(id: number, error: ErrorBody): void {
    this.#waiting.get(id)?.reject(EndpointError.fromBody(error));
    this.#waiting.delete(id);
  }
}
