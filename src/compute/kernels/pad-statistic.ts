import type { ComputePool } from '../pool.ts';
import { defineTask } from '../task.ts';
import type { PadStatisticInput } from './pad-statistic-task.ts';

const task = defineTask<PadStatisticInput, void>(import.meta.url, './pad-statistic-task.ts', 'padWithStatistic');

/** Fills what lies around an image inside its array, in place; see {@link PadStatisticInput}. */
export const padStatistic = (input: PadStatisticInput, pool: ComputePool, signal?: AbortSignal): Promise<void> =>
  pool.run(task, input, signal);
