import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

/** A warm process that takes a JSON line and gives one back: the other side of a comparison, ready before its time counts. */
export class JsonProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'], env });
    const output = this.#child.stdout;
    if (!output) throw new Error('no standard output');
    this.#lines = createInterface({ input: output })[Symbol.asyncIterator]();
  }

  /** Sends a request and waits for its answer; lines that are no JSON objects are chatter. */
  async ask(request: object): Promise<Record<string, unknown>> {
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done) throw new Error('the process ended before it answered');
      if (value.startsWith('{')) return JSON.parse(value) as Record<string, unknown>;
    }
  }

  async close(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}
