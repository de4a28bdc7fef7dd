import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { entriesOf, tarGz } from '../support/archives.ts';
import { descendants, startTestContainer } from '../support/endpoint.ts';
import { labelledBundle, labelledMeasurement, zeroVolume } from '../support/labelled-bundle.ts';
import { isRoot } from '../support/root.ts';
import { SageMakerSimulator } from '../support/sagemaker-simulator.ts';
import { withClients, zipfSequence } from '../support/zipf.ts';

const modelsRoot = `/opt/ml/models/map-endpoint-simulator-${process.pid}`;
const modelCount = 30;
const requestCount = 240;
/** By estimate a tiny model takes 100 MB and something before it was ever loaded. */
const budgetBytes = 5 * 105 * 1024 ** 2;

interface Answer {
  readonly model: { readonly name: string };
  readonly measurements: readonly object[];
}

/** 30 models where there is room for 5, under traffic as SageMaker makes it. Needs the right to make /opt/ml. */
describe.skipIf(!isRoot)('a multi-model endpoint with more models than memory', () => {
  let container: ChildProcess;
  let simulator: SageMakerSimulator;
  let body: Uint8Array;
  let archivesDir: string;

  beforeAll(async () => {
    archivesDir = mkdtempSync(join(tmpdir(), 'simulator-'));
    mkdirSync(join(archivesDir, 'team'));
    mkdirSync(modelsRoot, { recursive: true });
    for (let n = 1; n <= modelCount; n++) {
      writeFileSync(join(archivesDir, 'team', `label-${n}.tar.gz`), tarGz(entriesOf(labelledBundle(n))));
    }
    body = await zeroVolume();
    const started = await startTestContainer({
      SAGEMAKER_MULTI_MODEL: 'true',
      MEMORY_BUDGET_BYTES: String(budgetBytes),
      DATA_DIR: `${modelsRoot}/data`,
      WORKERS: '2',
      PIPELINES: '2',
      LOG_LEVEL: 'error',
    });
    container = started.process;
    simulator = new SageMakerSimulator({ url: started.url, archivesDir, modelsRoot });
  }, 60_000);
  afterAll(() => {
    container?.kill('SIGKILL');
    for (const dir of [modelsRoot, archivesDir]) rmSync(dir, { recursive: true, force: true });
  });

  it('loses no request and answers none wrongly', async () => {
    const statuses: number[] = [];
    await withClients(4, zipfSequence(modelCount, requestCount, 20_261), async (n) => {
      const value = n + 1;
      const target = `team/label-${value}.tar.gz`;
      const invoked = await simulator.invoke(target, body, { 'content-type': 'application/x-nifti' });
      statuses.push(invoked.status);
      const answer = JSON.parse(invoked.body.toString()) as Answer;
      expect(answer.model?.name, invoked.body.toString().slice(0, 300)).toBe(`team/label-${value}`);
      expect(answer.measurements).toEqual([expect.objectContaining(labelledMeasurement(value))]);
    });
    expect(statuses).toEqual(Array.from({ length: requestCount }, () => 200));
    const { loads, unloads, noRoom, lost } = simulator.counts;
    // It was really short of room, and what SageMaker believes is what the container holds.
    expect([noRoom > 10, unloads > 10, lost]).toEqual([true, true, 0]);
    expect(loads - unloads).toBe(simulator.loaded.length);
    // A loaded model has one process; one more is the ready spare.
    const processes = descendants(container.pid as number, 'me-session').length;
    expect(processes).toBeGreaterThanOrEqual(simulator.loaded.length);
    expect(processes).toBeLessThan(modelCount);
  }, 180_000);

  it('has nothing in memory when all is unloaded', async () => {
    await simulator.close();
    expect(descendants(container.pid as number, 'me-session').length).toBeLessThanOrEqual(1);
  });
});
