import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import {
  descendants,
  errorOf,
  filesUnder,
  resultSums,
  startTestEndpoint,
  type TestEndpoint,
} from '../support/endpoint.ts';
import { hasShared, shared } from '../support/shared-data.ts';

/** Design §1: what the death of each process costs, with real volumes in the middle of a request. */
describe.skipIf(!hasShared)('a process dies in the middle of a request', () => {
  let endpoint: TestEndpoint;
  let request: { inputs: { datastoreId: string; imageSetId: string }[] };
  let quiet: { outputs: { type: string; sha256: string }[] };
  const frontPid = (): number => endpoint.process.pid as number;
  const sessions = (): number[] => descendants(frontPid(), 'me-session');
  const answerOf = async (response: Response) => {
    const answer = (await response.json()) as typeof quiet;
    expect(response.status, JSON.stringify(answer).slice(0, 300)).toBe(200);
    return answer;
  };
  const run = (extra: object = {}, init: RequestInit = {}) =>
    endpoint.invoke('spleen.tar.gz', { ...request, inferenceId: 'crash-test', ...extra }, init);

  /** Waits until windows run: a session child that burns processor time. */
  const inferenceRuns = () =>
    vi.waitFor(async () => {
      const metrics = await (await fetch(`${endpoint.url}/metrics`)).text();
      expect(metrics).toMatch(/map_endpoint_running_jobs 1/);
      expect(metrics).toMatch(/map_endpoint_running_windows [1-9]/);
    }, 30_000);

  beforeAll(async () => {
    endpoint = await startTestEndpoint({ WORKERS: '2', PIPELINES: '2' });
    endpoint.addModel(shared('models/spleen_ct_full'), 'spleen.tar.gz');
    const imported = await endpoint.importFolder(shared('data/ct-abdomen-30'));
    request = {
      inputs: [{ datastoreId: imported.datastoreId, imageSetId: imported.imageSets[0]?.imageSetId as string }],
    };
    quiet = await answerOf(await run());
  }, 120_000);
  afterAll(() => endpoint?.stop());

  it('costs nothing when it is a session child: the same answer', async () => {
    const pending = run();
    await inferenceRuns();
    for (const pid of sessions()) process.kill(pid, 'SIGKILL');
    expect(resultSums(await answerOf(await pending))).toEqual(resultSums(quiet));
  });

  it('is worker_crashed when the children of a window die twice', async () => {
    const pending = run();
    await inferenceRuns();
    let killing = true;
    const killer = (async () => {
      while (killing) {
        for (const pid of sessions()) process.kill(pid, 'SIGKILL');
        await sleep(150);
      }
    })();
    const error = await errorOf(await pending);
    killing = false;
    await killer;
    expect(error).toMatchObject({ status: 500, code: 'worker_crashed' });
    expect(resultSums(await answerOf(await run()))).toEqual(resultSums(quiet));
  });

  it('costs a pipeline process its own job, within two seconds, and nothing is left behind', async () => {
    const pending = run();
    await inferenceRuns();
    const killedAt = performance.now();
    const idleToo = descendants(frontPid(), 'me-pipeline');
    for (const pid of idleToo) process.kill(pid, 'SIGKILL');
    const error = await errorOf(await pending);
    expect(error).toMatchObject({ status: 500, code: 'worker_crashed' });
    expect(performance.now() - killedAt).toBeLessThan(2000);
    expect(resultSums(await answerOf(await run()))).toEqual(resultSums(quiet));
    expect(filesUnder(`${endpoint.dataDir}/run`).filter((file) => file.includes('/requests/'))).toEqual([]);
  });

  it('stops the work within one window when the client goes away', async () => {
    const controller = new AbortController();
    const pending = run({}, { signal: controller.signal });
    await inferenceRuns();
    controller.abort();
    await expect(pending).rejects.toThrow();
    await vi.waitFor(async () => {
      const metrics = await (await fetch(`${endpoint.url}/metrics`)).text();
      expect(metrics).toMatch(/map_endpoint_running_jobs 0/);
      expect(metrics).toMatch(/map_endpoint_running_windows 0/);
    }, 6000);
  });

  it('is a 504 when the deadline passes, and the next request works', async () => {
    const short = await startTestEndpoint({ REQUEST_TIMEOUT_SECONDS: '1.5', WORKERS: '1', PIPELINES: '1' });
    try {
      short.addModel(shared('models/spleen_ct_full'), 'spleen.tar.gz');
      const imported = await short.importFolder(shared('data/ct-abdomen-30'));
      const inputs = [{ datastoreId: imported.datastoreId, imageSetId: imported.imageSets[0]?.imageSetId }];
      const error = await errorOf(await short.invoke('spleen.tar.gz', { inputs }));
      expect(error).toMatchObject({ status: 504, code: 'deadline_exceeded' });
      expect((await fetch(`${short.url}/ping`)).status).toBe(200);
    } finally {
      await short.stop();
    }
  }, 60_000);

  it('leaves no process behind when the front itself is killed', async () => {
    const doomed = await startTestEndpoint();
    const pid = doomed.process.pid as number;
    const children = [
      ...descendants(pid, 'me-pipeline'),
      ...descendants(pid, 'me-session'),
      ...descendants(pid, 'me-store'),
    ];
    expect(children.length).toBeGreaterThanOrEqual(3);
    doomed.process.kill('SIGKILL');
    const alive = (child: number): boolean => {
      try {
        process.kill(child, 0);
        return true;
      } catch {
        return false;
      }
    };
    await vi.waitFor(() => expect(children.filter(alive)).toEqual([]), 10_000);
    await doomed.stop();
  });
});
