/** Entry of a compute thread: imports task modules on demand and runs one task at a time. */
import { parentPort } from 'node:worker_threads';
import { asEndpointError } from '../errors.ts';
import type { ThreadAnswer } from './pool.ts';

interface ThreadTask {
  readonly id: number;
  readonly module: string;
  readonly name: string;
  readonly input: unknown;
}

async function answerTask(task: ThreadTask): Promise<ThreadAnswer> {
  try {
    const module = (await import(task.module)) as Record<string, (input: unknown) => unknown>;
    const run = module[task.name];
    if (!run) throw new TypeError(`No task ${task.name}.`);
    return { id: task.id, ok: true, value: await run(task.input) };
  } catch (thrown) {
    return { id: task.id, ok: false, error: asEndpointError(thrown).toJSON() };
  }
}

parentPort?.on('message', (task: ThreadTask) => {
  void answerTask(task).then((answer) => parentPort?.postMessage(answer));
});
