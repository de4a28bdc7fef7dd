import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A server in front of another one that makes every call so many milliseconds longer, in a process of its own. */
export class LatencyProxy {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  static async start(target: string, delayMs: number): Promise<LatencyProxy> {
    const script = fileURLToPath(new URL('./latency-proxy-child.mjs', import.meta.url));
    const child = spawn(process.execPath, [script, target, String(delayMs)], { stdio: ['pipe', 'pipe', 'inherit'] });
    const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
    return new LatencyProxy(child, (JSON.parse(line) as { url: string }).url);
  }

  async stop(): Promise<void> {
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await once(this.#child, 'exit');
  }
}
