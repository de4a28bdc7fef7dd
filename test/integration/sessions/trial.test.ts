import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { onnxModel } from '../../support/onnx-bytes.ts';
import { never, spleenOnnx, spleenWindow, startPool, type TestPool, until } from '../../support/sessions.ts';

let test: TestPool;
afterEach(() => test.close());

const network = (operator: string): string => {
  const path = join(test.dataDir, `${operator}.onnx`);
  writeFileSync(path, onnxModel({ operator }));
  return path;
};
const spleenShapes = { image: [1, 1, 96, 96, 96] };

describe('the trial of a network', () => {
  it('passes one that gives numbers, and leaves it as it was', async () => {
    test = await startPool();
    const { signature } = await test.pool.load('m', network('Identity'), never);
    await test.pool.tryOut('m', { x: [4] }, never);
    expect(test.pool.runningWindows).toBe(0);
    const x = { type: 'float32' as const, dims: [4], data: Float32Array.of(1, 2, 3, 4) };
    expect((await test.networks.networkOf('m', signature, 1).run({ x })).y?.data).toEqual(x.data);
  });

  it('refuses one that gives NaN, and one that fails', async () => {
    test = await startPool();
    await test.pool.load('nan', network('Acosh'), never); // of 0.25 to 0.5 it is no number
    const nan = test.pool.tryOut('nan', { x: [4] }, never);
    await expect(nan).rejects.toMatchObject({ code: 'unsupported_bundle', message: expect.stringContaining('NaN') });
    await test.pool.load('other', network('Identity'), never);
    const failed = test.pool.tryOut('other', { x: [5] }, never);
    await expect(failed).rejects.toMatchObject({
      code: 'unsupported_bundle',
      message: expect.stringContaining('fails'),
    });
    expect(test.pool.runningWindows).toBe(0);
  });

  it('brings the measured memory to where requests bring it', async () => {
    test = await startPool();
    const { signature } = await test.pool.load('m', spleenOnnx, never);
    const loadedBytes = test.pool.peakBytes('m');
    // Four windows at once: one needs little more than the loading does for a moment.
    await test.pool.tryOut('m', { image: [4, 1, 96, 96, 96] }, never);
    const triedBytes = test.pool.peakBytes('m');
    expect(triedBytes).toBeGreaterThan(loadedBytes * 1.2);
    await test.networks.networkOf('m', signature, 1).run(spleenWindow(signature, 1, 4));
    await until(() => test.pool.runningWindows === 0);
    expect(test.pool.peakBytes('m')).toBeLessThan(triedBytes * 1.6);
  });

  it('is left at once by who no longer waits, and its slot comes back', async () => {
    test = await startPool({ workers: 1 });
    await test.pool.load('m', spleenOnnx, never);
    const left = new AbortController();
    const first = test.pool.tryOut('m', spleenShapes, left.signal);
    const second = test.pool.tryOut('m', spleenShapes, left.signal); // waits for the slot
    await until(() => test.pool.runningWindows === 1);
    left.abort(new EndpointError('deadline_exceeded', 'left'));
    const leftAt = performance.now();
    await expect(first).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await expect(second).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(performance.now() - leftAt).toBeLessThan(50);
    await until(() => test.pool.runningWindows === 0);
    await test.pool.tryOut('m', spleenShapes, never);
  });

  it('is worker_crashed when the process dies in it, and frees the slot', async () => {
    test = await startPool({ workers: 1 });
    await test.pool.load('m', spleenOnnx, never);
    const tried = test.pool.tryOut('m', spleenShapes, never);
    for (const pid of test.pids()) process.kill(pid, 'SIGKILL');
    await expect(tried).rejects.toMatchObject({ code: 'worker_crashed' });
    expect(test.pool.runningWindows).toBe(0);
    await test.pool.unload('m');
  });
});
