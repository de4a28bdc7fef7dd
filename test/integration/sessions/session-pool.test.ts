import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { afterEach, describe, expect, it } from 'vitest';
import { rewriteForCpu } from '../../../src/sessions/onnx/rewrite.ts';
import { readProcessMemory } from '../../../src/sessions/process-memory.ts';
import type { SessionPoolOptions } from '../../../src/sessions/session-pool.ts';
import { onnxModel } from '../../support/onnx-bytes.ts';
import { isAlive, never, spleenOnnx, spleenWindow, startPool, type TestPool, until } from '../../support/sessions.ts';

let running: TestPool[] = [];
afterEach(async () => {
  await Promise.all(running.map((pool) => pool.close()));
  running = [];
});

async function start(options: Partial<SessionPoolOptions> = {}): Promise<TestPool> {
  const pool = await startPool(options);
  running.push(pool);
  return pool;
}

const tiny = (dir: string): string => {
  const path = join(dir, 'tiny.onnx');
  writeFileSync(path, onnxModel());
  return path;
};
const four = { x: { type: 'float32' as const, dims: [4], data: Float32Array.of(1, 2, 3, 4) } };

describe('SessionPool', () => {
  it('gives what onnxruntime gives for the network as it is loaded, bit for bit, for any number of workers', async () => {
    const options = { intraOpNumThreads: 1, interOpNumThreads: 1 };
    const original = await InferenceSession.create(spleenOnnx, options);
    const rewritten = rewriteForCpu(readFileSync(spleenOnnx)) as Uint8Array;
    const session = await InferenceSession.create(rewritten, options);
    for (const workers of [1, 3]) {
      const { pool, networks } = await start({ workers });
      const { signature } = await pool.load('spleen', spleenOnnx, never);
      expect(signature.inputs).toEqual([{ name: 'image', type: 'float32', dims: ['batch', 1, 96, 96, 96] }]);
      const network = networks.networkOf('spleen', signature, workers + 1);
      const answers = await Promise.all([1, 2, 3].map((seed) => network.run(spleenWindow(signature, seed))));
      for (const [index, answer] of answers.entries()) {
        const { image } = spleenWindow(signature, index + 1);
        const feed = new OrtTensor('float32', image?.data as Float32Array, [...(image?.dims ?? [])]);
        const expected = await session.run({ image: feed });
        expect(answer.pred?.dims).toEqual(expected.pred?.dims);
        // toEqual on two million floats takes its time.
        const bytesOf = (data: unknown): Buffer => Buffer.from((data as Float32Array).buffer);
        expect(bytesOf(answer.pred?.data).equals(bytesOf(expected.pred?.data))).toBe(true);
        if (index > 0 || workers > 1) continue;
        const before = (await original.run({ image: feed })).pred?.data as Float32Array;
        const after = expected.pred?.data as Float32Array;
        expect(
          before.reduce((most, value, n) => Math.max(most, Math.abs(value - (after[n] as number))), 0),
        ).toBeLessThan(1e-4);
      }
    }
  });

  it('offers a slot only where one is free at once', async () => {
    const { pool, networks, dataDir } = await start({ workers: 2 });
    const { signature } = await pool.load('a', tiny(dataDir), never);
    await pool.load('b', tiny(dataDir), never);
    await pool.load('c', tiny(dataDir), never);
    expect(pool.offer('unknown')).toBeUndefined();
    const first = pool.offer('a');
    expect(first).toBeDefined();
    expect(pool.offer('a')).toBeUndefined(); // its child is busy
    const second = pool.offer('b');
    expect(second).toBeDefined();
    expect(pool.offer('c')).toBeUndefined(); // both workers are
    const waiting = networks.networkOf('c', signature, 1).run(four);
    await until(() => pool.waitingWindows === 1);
    if (first) pool.release(first, 'done');
    expect(pool.offer('a')).toBeUndefined(); // who waited goes first
    expect((await waiting).y?.data).toEqual(four.x.data);
    if (second) pool.release(second, 'done');
    await until(() => pool.runningWindows === 0);
    expect(pool.offer('a')).toBeDefined();
  });

  it('runs children with a scrubbed environment, at a lower priority, under their own title', async () => {
    const environment = { AWS_SECRET_ACCESS_KEY: 'secret', HOME: '/root', PATH: '/bin', LD_LIBRARY_PATH: '/cuda' };
    const { pool, pids, dataDir } = await start({ environment });
    await pool.load('m', tiny(dataDir), never);
    await until(() => pids().length === 2);
    for (const pid of pids()) {
      const names = readFileSync(`/proc/${pid}/environ`, 'utf8')
        .split('\0')
        .filter((line) => line !== '')
        .map((line) => line.split('=')[0]);
      expect(names.filter((name) => !name?.startsWith('NODE_CHANNEL')).sort()).toEqual([
        'LD_LIBRARY_PATH',
        'MALLOC_MMAP_THRESHOLD_',
        'MALLOC_TRIM_THRESHOLD_',
      ]);
      const afterName = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1] ?? '';
      expect(Number(afterName.split(' ')[16])).toBe(5); // nice: field 19 of proc(5)
    }
  });

  it('keeps its sockets in a folder that nobody else can enter, and takes it along', async () => {
    const { pool, dataDir } = await start();
    const [socketDir] = readdirSync(dataDir);
    expect(statSync(join(dataDir, socketDir as string)).mode & 0o777).toBe(0o700);
    await pool.close();
    expect(existsSync(join(dataDir, socketDir as string))).toBe(false);
  });

  it('loads onto the spare, and has another one afterwards', async () => {
    const { pool, pids, dataDir } = await start();
    const [spare] = pids();
    await pool.load('m', tiny(dataDir), never);
    const grant = await pool.acquire('m', never);
    pool.release(grant, 'done');
    expect(isAlive(spare as number)).toBe(true);
    await until(() => pids().length === 2);
    await pool.unload('m');
    expect(isAlive(spare as number)).toBe(false);
    expect(pids()).toHaveLength(1);
  });

  it('gives all memory back when it unloads: process and socket are gone when it resolves', async () => {
    const { pool, pids, networks, dataDir } = await start();
    const { signature } = await pool.load('m', spleenOnnx, never);
    await networks.networkOf('m', signature, 2).run(spleenWindow(signature, 1));
    await until(() => pids().length === 2);
    const before = pids();
    expect(pool.usedBytes('m')).toBeGreaterThan(20e6);
    await pool.unload('m');
    const gone = before.filter((pid) => !existsSync(`/proc/${pid}`));
    expect(gone).toHaveLength(1);
    expect(readdirSync(join(dataDir, readdirSync(dataDir)[0] as string))).toHaveLength(1);
    expect(pool.usedBytes('m')).toBe(0);
    await expect(pool.acquire('m', never)).rejects.toMatchObject({ code: 'model_not_found' });
  });

  it('measures the peak of a model, not only what it holds now', async () => {
    const { pool, networks } = await start({ workers: 1 });
    const { signature } = await pool.load('m', spleenOnnx, never);
    const loaded = pool.peakBytes('m');
    const network = networks.networkOf('m', signature, 1);
    await network.run(spleenWindow(signature, 1, 4));
    await until(() => pool.peakBytes('m') > loaded + 20e6);
    expect(pool.usedBytes('m')).toBe(pool.peakBytes('m'));
    expect(await readProcessMemory(2 ** 22 + 1)).toBeUndefined();
  });

  it('never runs more windows than there are workers, and starts replicas only then', async () => {
    const { pool, networks } = await start({ workers: 2, replicaIdleMs: 2000 });
    const models = await Promise.all(
      ['a', 'b'].map(async (key) => ({ key, signature: (await pool.load(key, spleenOnnx, never)).signature })),
    );
    let most = 0;
    const windows = models.flatMap(({ key, signature }) => {
      const network = networks.networkOf(key, signature, 3);
      return [1, 2, 3].map((seed) => network.run(spleenWindow(signature, seed)));
    });
    const watch = setInterval(() => {
      most = Math.max(most, pool.runningWindows);
    }, 1);
    await Promise.all(windows);
    clearInterval(watch);
    expect(most).toBe(2);

    const { signature } = models[0] as (typeof models)[0];
    const network = networks.networkOf('a', signature, 3);
    await Promise.all([1, 2, 3, 4].map((seed) => network.run(spleenWindow(signature, seed))));
    expect(pool.children).toBeGreaterThanOrEqual(4); // a, its replica, b, the spare
    await until(() => pool.children === 3);
  });

  it('does not start a replica that there is no memory for', async () => {
    const asked: string[] = [];
    const mayGrow = (key: string, bytes: number): boolean => {
      asked.push(key);
      expect(bytes).toBeGreaterThan(1e6);
      return false;
    };
    const { pool, networks, pids } = await start({ workers: 2, mayGrow });
    const { signature } = await pool.load('a', spleenOnnx, never);
    await until(() => pids().length === 2);
    const network = networks.networkOf('a', signature, 3);
    await Promise.all([1, 2, 3].map((seed) => network.run(spleenWindow(signature, seed))));
    expect(asked).toContain('a');
    expect(pids()).toHaveLength(2);
  });

  it('refuses files that are no network, and nothing of them stays', async () => {
    const { pool, pids, dataDir } = await start();
    const path = join(dataDir, 'model.onnx');
    for (const [bytes, code] of [
      [Buffer.from('hello, this is no protobuf'), 'invalid_archive'],
      [readFileSync(spleenOnnx).subarray(0, 1_000_000), 'invalid_archive'],
      [onnxModel({ operator: 'NoSuchOperator' }), 'unsupported_bundle'],
    ] as const) {
      writeFileSync(path, bytes);
      const error = await pool.load('m', path, never).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code, message: expect.not.stringContaining(dataDir) });
      await expect(pool.acquire('m', never)).rejects.toMatchObject({ code: 'model_not_found' });
    }
    await until(() => pids().length === 1);
    writeFileSync(path, onnxModel());
    await pool.load('m', path, never);
    expect(pool.consecutiveFailedStarts).toBe(0);
  });

  it('tells an input that does not fit from a crash, and the child serves on', async () => {
    const { pool, networks, dataDir } = await start();
    const { signature } = await pool.load('m', tiny(dataDir), never);
    const network = networks.networkOf('m', signature, 1);
    const wrong = { x: { type: 'float32' as const, dims: [2, 2], data: new Float32Array(4) } };
    await expect(network.run(wrong)).rejects.toMatchObject({ code: 'model_failed' });
    await expect(network.run({ z: four.x })).rejects.toMatchObject({ code: 'model_failed' });
    await expect(network.run({ x: { ...four.x, dims: [5] } })).rejects.toMatchObject({ code: 'model_failed' });
    expect((await network.run(four)).y?.data).toEqual(four.x.data);
    expect(pool.restarts).toBe(0);
    expect(pool.runningWindows).toBe(0);
  });

  it('stops a load that nobody waits for any more', async () => {
    const { pool, pids } = await start();
    const controller = new AbortController();
    const loading = pool.load('m', spleenOnnx, controller.signal);
    controller.abort();
    await expect(loading).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await until(() => pids().length === 1);
    await pool.load('m', spleenOnnx, never);
  });

  it('does not start without a GPU that it is told to use, unless it may fall back', async () => {
    await expect(startPool({ providers: ['cuda'] })).rejects.toMatchObject({
      code: 'internal',
      message: expect.stringContaining('cuda'),
    });
    const { pool, networks, dataDir } = await start({ providers: ['cuda', 'cpu'] });
    expect(pool.warnings).toEqual([expect.stringContaining('"cuda" is not available')]);
    const { signature } = await pool.load('m', tiny(dataDir), never);
    expect((await networks.networkOf('m', signature, 1).run(four)).y?.data).toEqual(four.x.data);
  });

  it('counts failed starts, goes on trying, and recovers', async () => {
    const { pool, dataDir } = await start();
    const path = tiny(dataDir);
    const socketDir = join(dataDir, readdirSync(dataDir).find((name) => name.startsWith('s-')) as string);
    rmSync(socketDir, { recursive: true });
    await pool.load('a', path, never); // the spare was started before
    await until(() => pool.consecutiveFailedStarts >= 3);
    await expect(pool.load('b', path, never)).rejects.toMatchObject({ code: 'worker_crashed' });
    mkdirSync(socketDir, { mode: 0o700 });
    await until(() => pool.consecutiveFailedStarts === 0);
    await pool.load('b', path, never);
  });
});
