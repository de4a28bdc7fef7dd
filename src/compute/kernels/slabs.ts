import type { ComputePool } from '../pool.ts';
import type { TaskReference } from '../task.ts';

/** Half-open range of rows, planes or voxels that one task works on. */
export interface Slab {
  readonly from: number;
  readonly to: number;
}

/** Cuts `0…length` into at most `parts` slabs of about the same size. */
export function cutSlabs(length: number, parts: number): Slab[] {
  const count = Math.max(1, Math.min(parts, length));
  return Array.from({ length: count }, (_, n) => ({
    from: Math.floor((length * n) / count),
    to: Math.floor((length * (n + 1)) / count),
  }));
}

/**
 * Runs a task over `0…length` in slabs, one a thread, on shared memory. When one fails or the signal aborts, it still
 * waits for the running ones: nobody writes to the buffers afterwards.
 */
export async function runInSlabs<I extends Slab, O>(
  pool: ComputePool,
  task: TaskReference<I, O>,
  length: number,
  input: Omit<I, keyof Slab>,
  signal?: AbortSignal,
): Promise<O[]> {
  const slabs = cutSlabs(length, pool.threads);
  const settled = await Promise.allSettled(slabs.map((slab) => pool.run(task, { ...input, ...slab } as I, signal)));
  return settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}
