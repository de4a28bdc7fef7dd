import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import type { Network } from '../../../src/imaging/network.ts';
import { never, startPool, type TestPool } from '../../support/sessions.ts';
import { identityNetwork, tensorBundle } from '../../support/tensor-bundles.ts';

const length = 2_000_000;
let running: TestPool;
let network: Network;

beforeAll(async () => {
  running = await startPool({ workers: 2 });
  const path = join(running.dataDir, 'identity.onnx');
  writeFileSync(path, tensorBundle(identityNetwork('float32', [length]))['models/model.onnx'] as Buffer);
  const { signature } = await running.pool.load('identity', path, never);
  network = running.networks.networkOf('identity', signature, 2);
});
afterAll(() => running.close());

const input = (value: number) => ({
  INPUT0: { type: 'float32' as const, dims: [length], data: new Float32Array(length).fill(value) },
});

/** Shared memory, used again and again. */
const shared = new Uint8Array(new SharedArrayBuffer(length * 4));
const memoryOf = (bytes: number) => (bytes === shared.length ? shared : undefined);

/** A gate that opens when it is told to. */
function gate() {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { open, room: { admit: () => opened, memory: (bytes: number) => memoryOf(bytes) } };
}

describe('answers that are held back', () => {
  it('come when they are admitted, on a new connection and on a used one', async () => {
    for (const value of [1, 2, 3]) {
      const { open, room } = gate();
      let isHere = false;
      const run = network.run(input(value), never, room).finally(() => {
        isHere = true;
      });
      await sleep(150);
      expect(isHere).toBe(false);
      open();
      const { OUTPUT0 } = await run;
      expect(OUTPUT0?.data[length - 1]).toBe(value);
      expect(OUTPUT0?.data.buffer).toBe(shared.buffer);
    }
    // One that needs no admission takes the same connection.
    expect((await network.run(input(4), never)).OUTPUT0?.data[0]).toBe(4);
  });

  it('are run again when the child dies meanwhile', async () => {
    const { open, room } = gate();
    const run = network.run(input(5), never, room);
    await sleep(150);
    for (const pid of running.pids()) process.kill(pid, 'SIGKILL');
    await sleep(50);
    open();
    expect((await run).OUTPUT0?.data[7]).toBe(5);
  });

  it('are given up when the request is', async () => {
    const controller = new AbortController();
    const run = network.run(input(6), controller.signal, gate().room);
    await sleep(100);
    controller.abort(new EndpointError('deadline_exceeded', 'enough'));
    await expect(run).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect((await network.run(input(7), never)).OUTPUT0?.data[1]).toBe(7);
  });
});
