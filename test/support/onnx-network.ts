import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Network } from '../../src/imaging/network.ts';
import type { Tensor, TensorInfo } from '../../src/imaging/tensor.ts';

interface Answer {
  readonly id: number;
  readonly outputs?: Record<string, Tensor>;
  readonly error?: string;
}

/** A network over a number of child processes, for comparing results without the endpoint around them. */
export interface ChildNetwork extends Network {
  close(): Promise<void>;
}

/** Starts `workers` children on an ONNX file; each runs one window at a time. */
export async function startOnnxNetwork(modelPath: string, workers: number): Promise<ChildNetwork> {
  const children = Array.from({ length: workers }, () => startChild(modelPath));
  const ready = await Promise.all(children.map(async (child) => (await once(child, 'message'))[0]));
  const signature = ready[0] as { inputs: TensorInfo[]; outputs: TensorInfo[] };
  const idle = [...children];
  const waiting: ((child: ChildProcess) => void)[] = [];
  let nextId = 0;
  return {
    ...signature,
    concurrency: workers,
    async run(inputs, signal) {
      const child = idle.pop() ?? (await new Promise<ChildProcess>((resolve) => waiting.push(resolve)));
      try {
        signal?.throwIfAborted();
        const id = nextId++;
        const answered = once(child, 'message') as Promise<[Answer]>;
        child.send({ id, inputs: unshared(inputs) });
        const [answer] = await answered;
        if (!answer.outputs || answer.id !== id) throw new Error(answer.error ?? 'no answer');
        return answer.outputs;
      } finally {
        const waiter = waiting.shift();
        if (waiter) waiter(child);
        else idle.push(child);
      }
    },
    async close() {
      await Promise.all(
        children.map(async (child) => {
          const gone = once(child, 'exit');
          child.kill('SIGKILL');
          await gone;
        }),
      );
    },
  };
}

const startChild = (modelPath: string): ChildProcess =>
  fork(fileURLToPath(new URL('./onnx-child.mjs', import.meta.url)), [modelPath], { serialization: 'advanced' });

/** The channel between processes takes no shared memory. */
function unshared(inputs: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, tensor]) => [name, { ...tensor, data: (tensor.data as Float32Array).slice() }]),
  );
}
