import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Call } from './load-client.ts';

/** A model server with identity models of 1 KB. */
export interface Peer {
  readonly name: string;
  readonly url: string;
  readonly pid: number;
  /** Loads the n-th model; resolves when it can be called. */
  load(model: number): Promise<void>;
  /** One inference: 1 KB in, the same 1 KB out. The only thing that differs between the servers on the wire. */
  call(model: number): Call;
  /** True when an answer carries the payload. */
  check(body: Buffer): boolean;
  /** Process that runs a model, among the server's own (the newest one, when a model was just loaded). */
  workers(): number[];
  stop(): Promise<void>;
}

export const payload = new Uint8Array(Float32Array.from({ length: 256 }, (_, n) => n / 7).buffer);

/** Starts a server as a process group of its own, so that all of it ends with it. */
export function startGroup(command: string, args: string[], env: NodeJS.ProcessEnv, cwd: string): ChildProcess {
  return spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'ignore'],
    detached: true,
  });
}

export async function stopGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const exited = once(child, 'exit');
  process.kill(-child.pid, 'SIGTERM');
  const timer = setTimeout(() => process.kill(-(child.pid as number), 'SIGKILL'), 10_000);
  await exited;
  clearTimeout(timer);
}

/** Free ports below the ephemeral ones: Multi-Model-Server refuses some of those. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = [];
  for (let port = 20_000 + Math.floor(Math.random() * 10_000); ports.length < count; port++) {
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!isFree) continue;
    await once(server.close(), 'close');
    ports.push(port);
  }
  return ports;
}

export interface RunningProcess {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
}

/** All descendants of a process, itself included. */
export function processTree(root: number): RunningProcess[] {
  const all = readdirSync('/proc')
    .filter((entry) => /^\d+$/.test(entry))
    .flatMap((entry): RunningProcess[] => {
      try {
        const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
        const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
        const command = readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ');
        return [{ pid: Number(entry), parent, command }];
      } catch {
        return []; // it ended meanwhile
      }
    });
  const found = all.filter(({ pid }) => pid === root);
  for (let at = 0; at < found.length; at++) found.push(...all.filter(({ parent }) => parent === found[at]?.pid));
  return found;
}

/** Proportional set size of a whole tree, in megabytes: shared pages count once. */
export function treePssMegabytes(root: number): number {
  let kilobytes = 0;
  for (const { pid } of processTree(root)) {
    try {
      kilobytes += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
    } catch {
      // it ended meanwhile
    }
  }
  return kilobytes / 1024;
}
