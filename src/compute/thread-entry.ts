/** Entry of a compute thread: imports task modules on demand and runs one task at a time. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort } from 'node:worker_threads';
import { asEndpointError } from '../errors.ts';
import type { ThreadAnswer } from './pool.ts';

interface ThreadTask {
  readonly id: number;
  readonly module: string;
  readonly name: string;
  readonly input: unknown;
}

type TaskModule = Readonly<Record<string, (input: unknown) => unknown>>;

/** Kept here: `import()` of a known module still costs a resolution each time, and a frame takes but milliseconds. */
const modules = new Map<string, Promise<TaskModule>>();

function moduleOf(url: string): Promise<TaskModule> {
  let module = modules.get(url);
  if (!module) {
    module = import(url) as Promise<TaskModule>;
    modules.set(url, module);
  }
  return module;
}

async function answerTask(task: ThreadTask): Promise<ThreadAnswer> {
  try {
    const module = await moduleOf(task.module);
    const run = module[task.name];
    if (!run) throw new TypeError(`No task ${task.name}.`);
    return { id: task.id, ok: true, value: await run(task.input) };
  } catch (thrown) {
    return { id: task.id, ok: false, error: asEndpointError(thrown).toJSON() };
  }
}

/** A thread that has had nothing to do for this long collects; one that always has something, in every such time. */
const idleMs = 250;
const busyMs = 1_000;

let collect: (() => void) | undefined;
let collectedAt = performance.now();

/**
 * A volume that was sent here is freed when this thread, too, has collected what stood for it; and tasks leave so little
 * behind that it would not for a long time, while volumes of jobs long ended fill the process.
 */
function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
  collectedAt = performance.now();
}

const idle = setTimeout(collectGarbage, idleMs).unref();

parentPort?.on('message', (task: ThreadTask) => {
  void answerTask(task).then((answer) => {
    parentPort?.postMessage(answer);
    if (performance.now() - collectedAt > busyMs) collectGarbage();
    idle.refresh();
  });
});
