import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import {
  type AddToColumnsInput,
  addToColumns,
  type ClearColumnsInput,
  type ColumnArea,
  type Columns,
  type SampleColumnsInput,
  type SettleInput,
} from './column-task.ts';
import { runInSlabs } from './slabs.ts';

const module = './column-task.ts';
const addTask = defineTask<AddToColumnsInput, void>(import.meta.url, module, 'addToColumns');
const settleTask = defineTask<SettleInput, boolean>(import.meta.url, module, 'settleColumns');
const sampleTask = defineTask<SampleColumnsInput, void>(import.meta.url, module, 'sampleColumns');
const clearTask = defineTask<ClearColumnsInput, void>(import.meta.url, module, 'clearColumns');

/** Most values that are added in one go in the calling thread: some milliseconds. */
const inlineValues = 1_000_000;

/**
 * Adds a network's answer to the running sums: on the threads when it is in shared memory, else in the calling thread,
 * some planes at a time.
 */
export async function addWindow(
  input: Omit<AddToColumnsInput, 'from' | 'to'>,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  const planes = input.size[0];
  if (input.values.buffer instanceof SharedArrayBuffer) {
    await runInSlabs(pool, addTask, planes, input, signal);
    return;
  }
  const step = Math.max(1, Math.floor((inlineValues / input.values.length) * planes));
  for (let from = 0; from < planes; from += step) {
    if (from > 0) await new Promise(setImmediate);
    addToColumns({ ...input, from, to: Math.min(planes, from + step) });
  }
}

/** Completes the columns of an area; false when a value is not a number. See {@link SettleInput}. */
export async function settleArea(
  input: Omit<SettleInput, 'from' | 'to' | 'y'>,
  { x, y }: ColumnArea,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<boolean> {
  const length = x[1] - x[0];
  const parts = Math.min(pool.threads, length);
  const slabs = Array.from({ length: parts }, (_, n) => ({
    from: x[0] + Math.floor((length * n) / parts),
    to: x[0] + Math.floor((length * (n + 1)) / parts),
  }));
  const settled = await Promise.allSettled(slabs.map((slab) => pool.run(settleTask, { ...input, y, ...slab }, signal)));
  return settled
    .map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    })
    .every(Boolean);
}

/** Labels of the output columns `xs` × `ys`, interpolated between columns that are all there. */
export async function sampleArea(
  input: Omit<SampleColumnsInput, 'from' | 'to'>,
  pool: ComputePool,
  signal?: AbortSignal,
): Promise<void> {
  if (input.xs.length > 0 && input.ys.length > 0) await runInSlabs(pool, sampleTask, input.xs.length, input, signal);
}

/** Zeroes columns that are done with. */
export async function clear(columns: Columns, freed: Int32Array, pool: ComputePool, signal?: AbortSignal) {
  if (freed.length > 0) await runInSlabs(pool, clearTask, freed.length, { columns, freed }, signal);
}
