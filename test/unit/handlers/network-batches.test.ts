import { describe, expect, it, vi } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { NetworkBatches } from '../../../src/handlers/network-batches.ts';
import type { Network } from '../../../src/imaging/network.ts';
import type { Tensor, TensorInfo } from '../../../src/imaging/tensor.ts';

const info = (name: string, dims: readonly (number | string)[]): TensorInfo => ({ name, type: 'float32', dims });
const row = (...values: number[]): { x: Tensor } => ({
  x: { type: 'float32', dims: [1, values.length], data: Float32Array.from(values) },
});
const valuesOf = ({ y }: Record<string, Tensor>) => [...((y as Tensor).data as Float32Array)];

/** y = 2x; refuses a batch that holds a 13. */
function doubling(): Network & { readonly batches: number[]; readonly signals: AbortSignal[] } {
  const batches: number[] = [];
  const signals: AbortSignal[] = [];
  return {
    inputs: [info('x', ['batch', 3])],
    outputs: [info('y', ['batch', 3])],
    concurrency: 1,
    batches,
    signals,
    run: async ({ x }, signal) => {
      const { dims, data } = x as Tensor;
      batches.push(dims[0] as number);
      if (signal) signals.push(signal);
      await new Promise(setImmediate);
      if ((data as Float32Array).includes(13)) throw new EndpointError('model_failed', 'thirteen');
      return { y: { type: 'float32', dims, data: (data as Float32Array).map((value) => 2 * value) } };
    },
  };
}

describe('NetworkBatches', () => {
  it('takes networks whose inputs and outputs have one open batch axis', () => {
    const takes = (input: readonly (number | string)[], output: readonly (number | string)[]) =>
      NetworkBatches.takes({ ...doubling(), inputs: [info('x', input)], outputs: [info('y', output)] });
    expect(takes(['batch', 3], ['batch', 2])).toBe(true);
    expect(takes([1, 3], [1, 2])).toBe(false);
    expect(takes(['batch', 3], ['boxes', 4])).toBe(false);
    expect(takes([-1, 3], [-1, 2])).toBe(false);
  });

  it('runs the inputs of all requests at once and gives each its own rows', async () => {
    const network = doubling();
    const batches = new NetworkBatches(network, 3);
    const answers = [row(1, 2, 3), row(4, 5, 6), row(7, 8, 9)].map((inputs) => batches.network.run(inputs));
    expect((await Promise.all(answers)).map(valuesOf)).toEqual([
      [2, 4, 6],
      [8, 10, 12],
      [14, 16, 18],
    ]);
    expect(network.batches).toEqual([3]);
  });

  it('stacks only what has one shape', async () => {
    const network = doubling();
    const batches = new NetworkBatches(network, 3);
    const answers = [row(1, 2, 3), row(4), row(7, 8, 9)].map((inputs) => batches.network.run(inputs));
    expect((await Promise.all(answers)).map(valuesOf)).toEqual([[2, 4, 6], [8], [14, 16, 18]]);
    expect(network.batches.sort()).toEqual([1, 2]);
  });

  it('waits for no request that is done, and not long for one that is slow', async () => {
    const network = doubling();
    const batches = new NetworkBatches(network, 3);
    batches.ended();
    const first = batches.network.run(row(1));
    await first;
    expect(network.batches).toEqual([1]);
    await batches.network.run(row(2)); // the other one is at something else
    expect(network.batches).toEqual([1, 1]);
  });

  it('lets a bad input fail alone', async () => {
    const network = doubling();
    const batches = new NetworkBatches(network, 3);
    const answers = [row(1, 2, 3), row(13, 0, 0), row(7, 8, 9)].map((inputs) => batches.network.run(inputs));
    const settled = await Promise.allSettled(answers);
    expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(valuesOf(await (answers[2] as Promise<Record<string, Tensor>>))).toEqual([14, 16, 18]);
    expect(network.batches).toEqual([3, 1, 1, 1]);
  });

  it('refuses to guess when the answer does not keep the batch', async () => {
    const network = doubling();
    const odd: Network = {
      ...network,
      run: async (inputs) => {
        const { y } = await network.run(inputs);
        const { dims, data } = y as Tensor;
        return dims[0] === 1 ? { y: y as Tensor } : { y: { type: 'float32', dims: [1, data.length], data } };
      },
    };
    const batches = new NetworkBatches(odd, 2);
    const answers = await Promise.all([row(1), row(2)].map((inputs) => batches.network.run(inputs)));
    expect(answers.map(valuesOf)).toEqual([[2], [4]]);
  });

  it('is left by one request without harm to the others, and stops when all have left', async () => {
    const network = doubling();
    const batches = new NetworkBatches(network, 3);
    const clients = [1, 2, 3].map(() => new AbortController());
    const gone = new EndpointError('deadline_exceeded', 'gone');
    const run = (n: number) => batches.network.run(row(n), clients[n - 1]?.signal);
    const early = run(1);
    clients[0]?.abort(gone);
    await expect(early).rejects.toBe(gone);
    batches.ended();
    const late = [run(2), run(3)];
    await vi.waitFor(() => expect(network.batches).toEqual([2]));
    clients[1]?.abort(gone);
    await expect(late[0]).rejects.toBe(gone);
    expect(valuesOf((await late[1]) as Record<string, Tensor>)).toEqual([6]);
    expect(network.signals[0]?.aborted).toBe(false);
    const last = new NetworkBatches(network, 2);
    const both = [new AbortController(), new AbortController()];
    const answers = both.map(({ signal }) => last.network.run(row(1), signal));
    for (const controller of both) controller.abort(gone);
    for (const answer of answers) await expect(answer).rejects.toBe(gone);
    expect(network.signals.at(-1)?.aborted).toBe(true);
  });
});
