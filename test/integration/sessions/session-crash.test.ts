import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import type { Network } from '../../../src/imaging/network.ts';
import { SessionNetworks } from '../../../src/sessions/session-client.ts';
import type { SessionPoolOptions } from '../../../src/sessions/session-pool.ts';
import type { SlotBroker } from '../../../src/sessions/slots.ts';
import { onnxModel } from '../../support/onnx-bytes.ts';
import { childPids, commandLine, isAlive, never, startPool, type TestPool, until } from '../../support/sessions.ts';

const four = { x: { type: 'float32' as const, dims: [4], data: Float32Array.of(1, 2, 3, 4) } };

let test: TestPool | undefined;
afterEach(async () => {
  await test?.close();
  test = undefined;
});

interface Loaded extends TestPool {
  readonly network: Network;
  /** The process that holds the model. */
  readonly child: number;
}

async function load(options: Partial<SessionPoolOptions> = {}): Promise<Loaded> {
  test = await startPool({ workers: 1, ...options });
  const path = join(test.dataDir, 'tiny.onnx');
  writeFileSync(path, onnxModel());
  const [child] = test.pids();
  const { signature } = await test.pool.load('m', path, never);
  await until(() => test?.pids().length === 2);
  return { ...test, network: test.networks.networkOf('m', signature, 2), child: child as number };
}

describe('a session child that is killed', () => {
  it('in mid-request costs nothing: the window is run again, and the answer is the same', async () => {
    const { network, child, pool, pids } = await load();
    process.kill(child, 'SIGSTOP'); // now it is certainly in the middle of the window
    const answer = network.run(four);
    await until(() => pool.runningWindows === 1);
    process.kill(child, 'SIGKILL');
    expect((await answer).y?.data).toEqual(four.x.data);
    expect(pool.restarts).toBe(1);
    expect(isAlive(child)).toBe(false);
    expect((await network.run(four)).y?.data).toEqual(four.x.data);
    await until(() => pids().length === 2);
    expect(pool.runningWindows).toBe(0);
  });

  it('twice on the same window is told, and the next window works', async () => {
    const { network, child, pool, pids } = await load();
    const victims = [child, pids().find((pid) => pid !== child) as number]; // the spare takes over
    // Whoever is given the window is stopped before it can answer, and killed while it holds it.
    const deadly: SlotBroker = {
      acquire: async (modelKey, signal) => {
        const grant = await pool.acquire(modelKey, signal);
        const victim = victims.shift();
        if (victim === undefined) return grant;
        process.kill(victim, 'SIGSTOP');
        setTimeout(() => process.kill(victim, 'SIGKILL'), 50);
        return grant;
      },
      release: (grant, outcome) => pool.release(grant, outcome),
    };
    const outcome = expect(new SessionNetworks(deadly).networkOf('m', network, 1).run(four)).rejects.toMatchObject({
      code: 'worker_crashed',
    });
    await outcome;
    expect(victims).toEqual([]);
    expect((await network.run(four)).y?.data).toEqual(four.x.data);
  });

  it('while it is idle is replaced before anybody asks', async () => {
    const { network, child, pool, pids } = await load();
    process.kill(child, 'SIGKILL');
    await until(() => pool.restarts === 1 && pids().length === 2 && !pids().includes(child));
    expect((await network.run(four)).y?.data).toEqual(four.x.data);
  });

  it('takes only its own windows along', async () => {
    const { network, child, pool, networks, dataDir } = await load({ workers: 2 });
    const { signature } = await pool.load('other', join(dataDir, 'tiny.onnx'), never);
    const other = networks.networkOf('other', signature, 2);
    process.kill(child, 'SIGSTOP');
    const waiting = network.run(four);
    await until(() => pool.runningWindows === 1);
    expect((await other.run(four)).y?.data).toEqual(four.x.data);
    process.kill(child, 'SIGKILL');
    expect((await waiting).y?.data).toEqual(four.x.data);
  });

  it('while a replica starts that dies too is not waited for in vain', async () => {
    const { network, child, pool, pids, dataDir } = await load({ workers: 2 });
    const replica = pids().find((pid) => pid !== child) as number;
    for (const pid of [child, replica]) process.kill(pid, 'SIGSTOP');
    const outcomes = [network.run(four), network.run(four)].map((answer) =>
      expect(answer).rejects.toMatchObject({ code: 'worker_crashed' }),
    );
    await until(() => pids().length === 2 && pool.runningWindows === 1);
    await sleep(100); // the second window has waited long enough for a replica by now
    rmSync(join(dataDir, 'tiny.onnx'));
    process.kill(child, 'SIGKILL');
    await until(() => pool.restarts === 1);
    process.kill(replica, 'SIGKILL');
    await Promise.all(outcomes);
  });

  it('tells those who wait when it cannot be started again', async () => {
    const { network, child, pool, pids, dataDir } = await load();
    const socketDir = join(dataDir, readdirSync(dataDir).find((name) => name.startsWith('s-')) as string);
    rmSync(join(dataDir, 'tiny.onnx'));
    process.kill(child, 'SIGSTOP');
    const answer = network.run(four);
    const outcome = expect(answer).rejects.toMatchObject({ code: 'worker_crashed' });
    await until(() => pool.runningWindows === 1);
    rmSync(socketDir, { recursive: true });
    process.kill(child, 'SIGKILL');
    await outcome;
    expect(pool.runningWindows).toBe(0);
    await until(() => pids().length === 0);
  });
});

describe('a cancelled window', () => {
  it('that waits for a slot leaves at once', async () => {
    const { network, pool } = await load();
    const grant = await pool.acquire('m', never);
    const controller = new AbortController();
    const waiting = network.run(four, controller.signal);
    controller.abort(new EndpointError('deadline_exceeded', 'too late'));
    await expect(waiting).rejects.toMatchObject({ message: 'too late' });
    pool.release(grant, 'done');
    expect((await network.run(four)).y?.data).toEqual(four.x.data);
  });

  it('that runs is left, and its slot is free once the child is idle again', async () => {
    const { network, child, pool } = await load();
    process.kill(child, 'SIGSTOP');
    const controller = new AbortController();
    const running = network.run(four, controller.signal);
    await until(() => pool.runningWindows === 1);
    controller.abort();
    await expect(running).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(pool.runningWindows).toBe(1);
    process.kill(child, 'SIGCONT');
    expect((await network.run(four)).y?.data).toEqual(four.x.data);
    expect(pool.restarts).toBe(0);
    expect(isAlive(child)).toBe(true);
  });

  it('that overruns is ended by force, and another child takes over', async () => {
    const { network, child, pool } = await load({ overrunMs: 100 });
    process.kill(child, 'SIGSTOP');
    const controller = new AbortController();
    const running = network.run(four, controller.signal);
    await until(() => pool.runningWindows === 1);
    controller.abort();
    await expect(running).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect((await network.run(four)).y?.data).toEqual(four.x.data);
    expect(isAlive(child)).toBe(false);
    expect(pool.restarts).toBe(1);
  });

  it('of a model that is unloaded meanwhile is refused', async () => {
    const { network, pool } = await load({ overrunMs: 100 });
    const grant = await pool.acquire('m', never);
    const waiting = network.run(four);
    const refused = expect(waiting).rejects.toMatchObject({ code: 'model_not_found' });
    await pool.unload('m');
    await refused;
    pool.release(grant, 'done');
    expect(pool.runningWindows).toBe(0);
  });
});

describe('a front that is killed', () => {
  it('leaves no child and no socket behind', async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'orphans-'));
    writeFileSync(join(dataDir, 'tiny.onnx'), onnxModel());
    const dist = new URL('../../../dist/', import.meta.url).href;
    const script = `
      import { SessionPool } from '${dist}sessions/session-pool.js';
      import { createLogger } from '${dist}logger.js';
      const pool = await SessionPool.start({ dataDir: '${dataDir}', workers: 1, providers: ['cpu'], environment: {},
        logger: createLogger('front', 'silent') });
      await pool.load('m', '${join(dataDir, 'tiny.onnx')}', new AbortController().signal);
      console.log('loaded');
      setInterval(() => undefined, 1000);`;
    const front = spawn(process.execPath, ['--input-type=module', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(front.stdout, 'data');
    await until(() => childPids(front.pid as number).length === 2);
    const children = childPids(front.pid as number);
    front.kill('SIGKILL');
    await until(() => children.every((pid) => !commandLine(pid).startsWith('me-session')));
    await until(() => readdirSync(dataDir).join() === 'tiny.onnx');
    expect(existsSync(dataDir)).toBe(true);
    rmSync(dataDir, { recursive: true });
  });
});
