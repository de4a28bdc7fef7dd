import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { entriesOf, tarGz } from '../test/support/archives.ts';
import { startTestContainer } from '../test/support/endpoint.ts';
import { labelledBundle, zeroVolume } from '../test/support/labelled-bundle.ts';
import { type Invoked, SageMakerSimulator } from '../test/support/sagemaker-simulator.ts';
import { withClients, zipfSequence } from '../test/support/zipf.ts';
import { type BenchResult, median } from './table.ts';

const modelCount = 30;
const requestsARound = 300;
const clients = 4;
const budgetBytes = 5 * 105 * 1024 ** 2;

/** Traffic on 30 models where there is room for 5, as SageMaker makes it. Needs the right to make /opt/ml. */
export async function sagemakerZipf(rounds: number): Promise<BenchResult> {
  const modelsRoot = `/opt/ml/models/map-endpoint-bench-${process.pid}`;
  const archivesDir = mkdtempSync(join(tmpdir(), 'bench-zipf-'));
  mkdirSync(modelsRoot, { recursive: true });
  for (let n = 1; n <= modelCount; n++) {
    writeFileSync(join(archivesDir, `label-${n}.tar.gz`), tarGz(entriesOf(labelledBundle(n))));
  }
  const body = await zeroVolume();
  const container = await startTestContainer({
    SAGEMAKER_MULTI_MODEL: 'true',
    MEMORY_BUDGET_BYTES: String(budgetBytes),
    DATA_DIR: join(modelsRoot, 'data'),
    LOG_LEVEL: 'error',
  });
  const simulator = new SageMakerSimulator({ url: container.url, archivesDir, modelsRoot });
  const invoked: Invoked[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      await withClients(clients, zipfSequence(modelCount, requestsARound, round + 1), async (n) => {
        const headers = { 'content-type': 'application/x-nifti' };
        const one = await simulator.invoke(`label-${n + 1}.tar.gz`, body, headers);
        if (one.status !== 200) throw new Error(`a request was lost: ${one.status} ${one.body.toString()}`);
        invoked.push(one);
      });
    }
    await simulator.close();
  } finally {
    container.process.kill('SIGKILL');
    for (const dir of [modelsRoot, archivesDir]) rmSync(dir, { recursive: true, force: true });
  }
  const times = (hit: boolean) => invoked.filter((one) => one.hit === hit).map(({ ms }) => ms);
  const all = invoked.map(({ ms }) => ms).sort((a, b) => a - b);
  const { loads, unloads, noRoom, lost } = simulator.counts;
  const note = `${loads} loads, ${unloads} unloads, ${noRoom} times no room, ${lost} lost`;
  return {
    title: `Zipf traffic over ${modelCount} models, room for 5 by their estimates, ${clients} clients, ${all.length} requests`,
    rows: [
      { name: 'hit rate', value: (100 * times(true).length) / all.length, unit: '%', note },
      { name: 'p50, model loaded', value: median(times(true)), unit: 'ms' },
      { name: 'p50, model to be loaded', value: median(times(false)), unit: 'ms' },
      { name: 'p50', value: median(all), unit: 'ms' },
      { name: 'p99', value: all[Math.floor(all.length * 0.99)] as number, unit: 'ms' },
    ],
  };
}
