import { EndpointError } from '../errors.ts';
import type { NetworkSignature } from '../imaging/tensor.ts';
import type { ChildSupply } from './child-supply.ts';
import type { SessionDevice } from './protocol.ts';
import type { SessionChild } from './session-child.ts';

/** A network loaded in a child: the place where its windows run. */
export interface Seat {
  readonly child: SessionChild;
  readonly sessionId: string;
  readonly signature: NetworkSignature;
  /** Device memory that the load took, where the child's own memory doesn't tell (a GPU). */
  readonly deviceBytes: number;
}

/** How networks are spread over children: one each (CPU), or all of a device in one (GPU: a context is costly). */
export interface Seating {
  /** Windows that a child may be given at once. */
  readonly windowsPerChild: number;
  /** Whether a model may have more than one seat. */
  readonly replicas: boolean;
  /** Loads a network. Throws EndpointError as {@link SessionChild.load} does. */
  seat(sessionId: string, onnxPath: string, signal: AbortSignal): Promise<Seat>;
  /** Takes a network away; resolves when its memory is back. */
  vacate(seat: Seat): Promise<void>;
}

/** One child for each network, taken from the supply. */
export class CpuSeating implements Seating {
  readonly windowsPerChild = 1;
  readonly replicas = true;
  readonly #supply: ChildSupply;

  constructor(supply: ChildSupply) {
    this.#supply = supply;
  }

  async seat(sessionId: string, onnxPath: string, signal: AbortSignal): Promise<Seat> {
    try {
      return await this.#seatOnce(sessionId, onnxPath, signal);
    } catch (thrown) {
      // The spare may have died unseen, with the child that it was to replace: a new one tells.
      const died = thrown instanceof EndpointError && thrown.code === 'worker_crashed';
      if (!died || signal.aborted) throw thrown;
      return await this.#seatOnce(sessionId, onnxPath, signal);
    } finally {
      this.#supply.prepareSpare();
    }
  }

  async vacate(seat: Seat): Promise<void> {
    await seat.child.end();
  }

  async #seatOnce(sessionId: string, onnxPath: string, signal: AbortSignal): Promise<Seat> {
    const child = await this.#supply.take();
    try {
      const device: SessionDevice = { providers: ['cpu'], deviceId: 0 };
      const signature = await child.load(sessionId, onnxPath, device, signal);
      await child.measure();
      return { child, sessionId, signature, deviceBytes: 0 };
    } catch (thrown) {
      await child.end();
      throw thrown;
    }
  }
}

/** All networks of a device in one child, which is started when it is needed. */
export class GpuSeating implements Seating {
  /** One window runs while the next one travels. */
  readonly windowsPerChild = 2;
  readonly replicas = false;
  readonly #supply: ChildSupply;
  readonly #device: SessionDevice;
  readonly #deviceUsedBytes: () => Promise<number>;
  #child: Promise<SessionChild> | undefined;
  /** Loads go one by one, so that each one's memory can be told apart. */
  #lastLoad: Promise<unknown> = Promise.resolve();

  constructor(supply: ChildSupply, device: SessionDevice, deviceUsedBytes: () => Promise<number>) {
    this.#supply = supply;
    this.#device = device;
    this.#deviceUsedBytes = deviceUsedBytes;
  }

  seat(sessionId: string, onnxPath: string, signal: AbortSignal): Promise<Seat> {
    const load = this.#lastLoad.then(() => this.#load(sessionId, onnxPath, signal));
    this.#lastLoad = load.catch(() => undefined);
    return load;
  }

  async vacate(seat: Seat): Promise<void> {
    await seat.child.unload(seat.sessionId).catch(() => undefined); // a child that is gone holds nothing
  }

  async #load(sessionId: string, onnxPath: string, signal: AbortSignal): Promise<Seat> {
    const child = await this.#sharedChild();
    const before = await this.#deviceUsedBytes();
    // The child holds other models: an abort must not kill it, so it is looked at after the load.
    const signature = await child.load(sessionId, onnxPath, this.#device, new AbortController().signal);
    const seat = { child, sessionId, signature, deviceBytes: Math.max(0, (await this.#deviceUsedBytes()) - before) };
    if (signal.aborted) {
      await this.vacate(seat);
      signal.throwIfAborted();
    }
    return seat;
  }

  async #sharedChild(): Promise<SessionChild> {
    const current = await this.#child?.catch(() => undefined);
    if (current && !current.gone) return current;
    this.#child = this.#supply.take();
    return await this.#child;
  }
}
