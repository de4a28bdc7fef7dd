import { abortError, EndpointError } from '../errors.ts';
import type { Network } from '../imaging/network.ts';
import type { Tensor, TensorData } from '../imaging/tensor.ts';

type Tensors = Readonly<Record<string, Tensor>>;

/** One call of `run` that waits for others. */
interface Entry {
  readonly inputs: Tensors;
  readonly signal: AbortSignal;
  readonly resolve: (outputs: Record<string, Tensor>) => void;
  readonly reject: (error: unknown) => void;
}

/** Who prepares its input longer than the others does not hold them up for more than this. */
const companyMs = 20;

/**
 * Runs the inputs of several requests of one call as one run of the network, stacked along its first axis. Whoever
 * leaves, leaves alone; when a stacked run fails, each input is run by itself, so that one bad input fails no other.
 */
export class NetworkBatches {
  readonly #network: Network;
  readonly #waiting = new Map<string, Entry[]>();
  #working: number;
  #timer: NodeJS.Timeout | undefined;

  /** @param requests - that will each use {@link network} */
  constructor(network: Network, requests: number) {
    this.#network = network;
    this.#working = requests;
  }

  /**
   * Whether the first axis of all inputs and outputs is a batch of any size: the ONNX file gives them one name. An axis
   * that merely is dynamic may count something else (boxes that were found).
   */
  static takes({ inputs, outputs }: Network): boolean {
    const batch = inputs[0]?.dims[0];
    return typeof batch === 'string' && [...inputs, ...outputs].every(({ dims }) => dims[0] === batch);
  }

  /** The network as one of the requests sees it. */
  get network(): Network {
    const { inputs, outputs, concurrency } = this.#network;
    const run: Network['run'] = (tensors, signal) => this.#run(tensors, signal ?? new AbortController().signal);
    return { inputs, outputs, concurrency, run };
  }

  /** One of the requests is done: nobody waits for it any more. */
  ended(): void {
    this.#working--;
    this.#flushIfAll();
  }

  #run(inputs: Tensors, signal: AbortSignal): Promise<Record<string, Tensor>> {
    if (signal.aborted) return Promise.reject(abortError(signal));
    return new Promise((resolve, reject) => {
      const settled = (): void => signal.removeEventListener('abort', leave);
      const entry: Entry = {
        inputs,
        signal,
        resolve: (outputs) => {
          settled();
          resolve(outputs);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      const leave = (): void => {
        for (const entries of this.#waiting.values()) {
          const at = entries.indexOf(entry);
          if (at >= 0) entries.splice(at, 1);
        }
        reject(abortError(signal));
      };
      signal.addEventListener('abort', leave, { once: true });
      const key = formOf(inputs);
      const entries = this.#waiting.get(key);
      if (entries) entries.push(entry);
      else this.#waiting.set(key, [entry]);
      this.#timer ??= setTimeout(() => this.#flush(), companyMs);
      this.#flushIfAll();
    });
  }

  #flushIfAll(): void {
    let waiting = 0;
    for (const entries of this.#waiting.values()) waiting += entries.length;
    if (waiting > 0 && waiting >= this.#working) this.#flush();
  }

  #flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const groups = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const entries of groups) if (entries.length > 0) void this.#runTogether(entries);
  }

  async #runTogether(entries: readonly Entry[]): Promise<void> {
    if (entries.length > 1) {
      try {
        const together = new AbortController();
        const outputs = await whileAnyWaits(entries, together, () =>
          this.#network.run(stacked(entries.map(({ inputs }) => inputs)), together.signal),
        );
        const counts = entries.map(({ inputs }) => rowsOf(inputs));
        for (const [index, part] of unstacked(outputs, counts).entries()) entries[index]?.resolve(part);
        return;
      } catch {
        // Each by itself tells whose input it was.
      }
    }
    for (const { inputs, signal, resolve, reject } of entries) {
      if (!signal.aborted) await this.#network.run(inputs, signal).then(resolve, reject);
    }
  }
}

/** Runs something that is cancelled only when every entry has left. */
async function whileAnyWaits<T>(
  entries: readonly Entry[],
  together: AbortController,
  run: () => Promise<T>,
): Promise<T> {
  const check = (): void => {
    if (entries.every(({ signal }) => signal.aborted)) together.abort(abortError((entries[0] as Entry).signal));
  };
  for (const { signal } of entries) signal.addEventListener('abort', check);
  try {
    return await run();
  } finally {
    for (const { signal } of entries) signal.removeEventListener('abort', check);
  }
}

/** What must be equal for inputs to be stacked: names, types, and all axes but the first. */
const formOf = (inputs: Tensors): string =>
  Object.entries(inputs)
    .map(([name, { type, dims }]) => `${name} ${type} ${dims.slice(1).join('×')}`)
    .sort()
    .join('\n');

const rowsOf = (tensors: Tensors): number => Object.values(tensors)[0]?.dims[0] ?? 0;

function stacked(all: readonly Tensors[]): Record<string, Tensor> {
  const [first] = all as readonly [Tensors, ...Tensors[]];
  const result: Record<string, Tensor> = {};
  for (const [name, { type, dims }] of Object.entries(first)) {
    const parts = all.map((tensors) => tensors[name] as Tensor);
    const rows = parts.reduce((sum, part) => sum + (part.dims[0] as number), 0);
    const data = emptyLike(
      parts[0]?.data as TensorData,
      parts.reduce((sum, part) => sum + part.data.length, 0),
    );
    let at = 0;
    for (const part of parts) {
      data.set(part.data as never, at);
      at += part.data.length;
    }
    result[name] = { type, dims: [rows, ...dims.slice(1)], data };
  }
  return result;
}

/** Cuts stacked outputs into parts of so many rows each. Throws EndpointError when there are not so many. */
function unstacked(outputs: Tensors, counts: readonly number[]): Record<string, Tensor>[] {
  const rows = counts.reduce((sum, count) => sum + count, 0);
  const parts = counts.map((): Record<string, Tensor> => ({}));
  for (const [name, { type, dims, data }] of Object.entries(outputs)) {
    if (dims[0] !== rows) throw new EndpointError('model_failed', `Output '${name}' does not keep the batch.`);
    const rowLength = data.length / rows;
    let row = 0;
    for (const [index, count] of counts.entries()) {
      const own = data.subarray(row * rowLength, (row + count) * rowLength) as TensorData;
      (parts[index] as Record<string, Tensor>)[name] = { type, dims: [count, ...dims.slice(1)], data: own };
      row += count;
    }
  }
  return parts;
}

function emptyLike(data: TensorData, length: number): TensorData {
  const Empty = data.constructor as new (length: number) => TensorData;
  return new Empty(length);
}
