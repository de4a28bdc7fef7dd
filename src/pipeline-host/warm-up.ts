import type { ComputePool } from '../compute/pool.ts';
import { defineTask } from '../compute/task.ts';

const warmUpDecoder = defineTask<{ times: number }, void>(
  import.meta.url,
  '../formats/htj2k/warm-up-task.ts',
  'warmUpDecoder',
);

/** Rounds of every thread; more make the decoder no faster. */
const rounds = 8;
const framesPerRound = 4;

/**
 * Starts the threads of a new process and brings the codec to its speed: the first image set would take twice as long.
 * A job that comes meanwhile has it stopped.
 */
export async function warmUp(pool: ComputePool, signal: AbortSignal): Promise<void> {
  for (let round = 0; round < rounds && !signal.aborted; round++) {
    const all = Array.from({ length: pool.threads }, () => pool.run(warmUpDecoder, { times: framesPerRound }, signal));
    await Promise.all(all);
  }
}
