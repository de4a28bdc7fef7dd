import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { NetworkSignature, Tensor } from '../../src/imaging/tensor.ts';
import { createLogger } from '../../src/logger.ts';
import { SessionNetworks } from '../../src/sessions/session-client.ts';
import { SessionPool, type SessionPoolOptions } from '../../src/sessions/session-pool.ts';

/** The demo network: a UNet, windows of 96³. */
export const spleenOnnx = fileURLToPath(new URL('../../samples/spleen_ct_demo/models/model.onnx', import.meta.url));

export const never: AbortSignal = new AbortController().signal;

/** A pool of real session children in a folder of its own, with the networks of a pipeline process over it. */
export interface TestPool {
  readonly pool: SessionPool;
  readonly networks: SessionNetworks;
  readonly dataDir: string;
  /** Process ids of its children that live, as the kernel sees them. */
  pids(): number[];
  close(): Promise<void>;
}

export async function startPool(options: Partial<SessionPoolOptions> = {}): Promise<TestPool> {
  const dataDir = mkdtempSync(join(tmpdir(), 'sessions-'));
  const before = new Set(childPids(process.pid));
  const pool = await SessionPool.start({
    dataDir,
    workers: 2,
    providers: ['cpu'],
    environment: {},
    logger: createLogger('front', 'silent'),
    ...options,
  });
  const networks = new SessionNetworks(pool);
  return {
    pool,
    networks,
    dataDir,
    pids: () => childPids(process.pid).filter((pid) => !before.has(pid)),
    close: async () => {
      networks.close();
      await pool.close();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Session children of a process. */
export function childPids(parent: number): number[] {
  return readFileSync(`/proc/${parent}/task/${parent}/children`, 'utf8')
    .split(' ')
    .filter((text) => text !== '')
    .map(Number)
    .filter((pid) => commandLine(pid).startsWith('me-session'));
}

export function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    return '';
  }
}

export const isAlive = (pid: number): boolean => existsSync(`/proc/${pid}`) && commandLine(pid) !== '';

/** Waits until something holds; the test's own time limit ends it otherwise. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}

/** Windows for a network that takes 96³ float32, different for each seed. */
export function spleenWindow(signature: NetworkSignature, seed: number, count = 1): Record<string, Tensor> {
  const data = new Float32Array(count * 96 ** 3);
  for (let i = 0; i < data.length; i++) data[i] = ((i * 31 + seed * 977) % 1000) / 1000;
  return { [signature.inputs[0]?.name as string]: { type: 'float32', dims: [count, 1, 96, 96, 96], data } };
}
