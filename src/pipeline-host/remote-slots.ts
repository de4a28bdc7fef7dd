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
  readonly #sendSoon: (message: FromPipeline) => void;
  readonly #waiting = new Map<number, Waiting>();
  #offered: { readonly modelKey: string; readonly grant: SlotGrant } | undefined;
  #offeredId: number | undefined;
  #nextId = 0;

  /** @param sendSoon - sends with the message that follows at once, if there is one; default: `send` */
  constructor(send: (message: FromPipeline) => void, sendSoon = send) {
    this.#send = send;
    this.#sendSoon = sendSoon;
  }

  /** A slot came with a job: the first window of that model takes it. */
  offered(modelKey: string, grant: SlotGrant): void {
    this.#offered = { modelKey, grant };
    this.#offeredId = grant.grantId;
  }

  /** The job is over: a slot that came with it and that no window took goes back. */
  takeBack(): void {
    const unused = this.#offered;
    this.#offered = undefined;
    if (unused) this.release(unused.grant, 'done');
  }

  acquire(modelKey: string, signal: AbortSignal): Promise<SlotGrant> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    if (this.#offered?.modelKey === modelKey) {
      const { grant } = this.#offered;
      this.#offered = undefined;
      return Promise.resolve(grant);
    }
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
    // A job that came with its slot has little left to do: its answer is on its way.
    const send = grant.grantId === this.#offeredId ? this.#sendSoon : this.#send;
    send({ type: 'release', grantId: grant.grantId, outcome });
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
