import { setMaxListeners } from 'node:events';
import { abortError, EndpointError, throwIfAborted } from '../errors.ts';
import type { AnswerRoom, Network } from '../imaging/network.ts';
import type { NetworkSignature, Tensor, TensorInfo } from '../imaging/tensor.ts';
import { FrameError, type Tensors } from './frame.ts';
import { ConnectionLost, SessionConnection } from './session-connection.ts';
import type { SlotBroker, SlotGrant } from './slots.ts';

/** A window whose child died is run again this often before it is given up. */
const reruns = 1;

/** Networks that run in session children, as a pipeline process sees them. They share the connections to the children. */
export class SessionNetworks {
  readonly #slots: SlotBroker;
  readonly #connections = new Map<string, SessionConnection[]>();

  constructor(slots: SlotBroker) {
    this.#slots = slots;
  }

  /**
   * A loaded model as a {@link Network}.
   *
   * @param modelKey - the key under which the front's pool loaded it
   * @param concurrency - windows in flight at once that keep the children busy: the pool's workers and one more
   * @param gainsFromBatches - whether one run of several windows is faster than as many runs
   */
  networkOf(modelKey: string, signature: NetworkSignature, concurrency: number, gainsFromBatches = false): Network {
    const limits = { concurrency, gainsFromBatches };
    return new SessionNetwork(modelKey, signature, limits, this.#slots, this.#connections);
  }

  /** Drops all connections. */
  close(): void {
    for (const connections of this.#connections.values()) {
      for (const connection of connections) connection.close();
    }
    this.#connections.clear();
  }
}

class SessionNetwork implements Network {
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly concurrency: number;
  readonly gainsFromBatches: boolean;
  readonly #modelKey: string;
  readonly #slots: SlotBroker;
  readonly #idle: Map<string, SessionConnection[]>;

  constructor(
    modelKey: string,
    signature: NetworkSignature,
    limits: { readonly concurrency: number; readonly gainsFromBatches: boolean },
    slots: SlotBroker,
    idle: Map<string, SessionConnection[]>,
  ) {
    this.#modelKey = modelKey;
    this.inputs = signature.inputs;
    this.outputs = signature.outputs;
    this.concurrency = limits.concurrency;
    this.gainsFromBatches = limits.gainsFromBatches;
    this.#slots = slots;
    this.#idle = idle;
  }

  async run(
    inputs: Tensors,
    signal: AbortSignal = new AbortController().signal,
    room?: AnswerRoom,
  ): Promise<Record<string, Tensor>> {
    setMaxListeners(0, signal); // each window in flight listens to it
    for (let attempt = 0; ; attempt++) {
      throwIfAborted(signal);
      const grant = await this.#slots.acquire(this.#modelKey, signal);
      try {
        return await this.#runOn(grant, inputs, signal, room);
      } catch (thrown) {
        if (!(thrown instanceof ConnectionLost)) throw thrown;
        if (attempt < reruns) continue;
        throw new EndpointError('worker_crashed', 'The process of the network died twice on the same window.', {
          cause: thrown,
        });
      }
    }
  }

  /** Runs one window on a granted slot and gives the slot back, however it ends. */
  async #runOn(
    grant: SlotGrant,
    inputs: Tensors,
    signal: AbortSignal,
    room: AnswerRoom | undefined,
  ): Promise<Record<string, Tensor>> {
    const connection = this.#connectionTo(grant.socketPath);
    const abandon = (): void => connection.close();
    signal.addEventListener('abort', abandon, { once: true });
    try {
      if (signal.aborted) connection.close();
      const { grantId, sessionId } = grant;
      const outputs = await connection.run({ grantId, sessionId }, inputs, room);
      this.#slots.release(grant, 'done');
      this.#keep(grant.socketPath, connection);
      return outputs;
    } catch (thrown) {
      if (signal.aborted) {
        this.#slots.release(grant, 'abandoned');
        throw abortError(signal);
      }
      if (thrown instanceof ConnectionLost) {
        this.#slots.release(grant, 'lost');
        throw thrown;
      }
      this.#slots.release(grant, 'done');
      this.#keep(grant.socketPath, connection);
      if (thrown instanceof FrameError) throw new EndpointError('model_failed', thrown.message, { cause: thrown });
      throw thrown;
    } finally {
      signal.removeEventListener('abort', abandon);
    }
  }

  #connectionTo(socketPath: string): SessionConnection {
    const idle = this.#idle.get(socketPath);
    for (let connection = idle?.pop(); connection; connection = idle?.pop()) {
      if (connection.usable) return connection;
    }
    return new SessionConnection(socketPath);
  }

  #keep(socketPath: string, connection: SessionConnection): void {
    if (!connection.usable) return;
    for (const [path, connections] of this.#idle) {
      const usable = connections.filter((other) => other.usable);
      if (usable.length === 0)
        this.#idle.delete(path); // its child is gone
      else if (usable.length < connections.length) this.#idle.set(path, usable);
    }
    const connections = this.#idle.get(socketPath);
    if (connections) connections.push(connection);
    else this.#idle.set(socketPath, [connection]);
  }
}
