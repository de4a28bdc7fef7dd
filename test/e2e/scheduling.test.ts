import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { phantomSeries } from '../../bench/phantom-series.ts';
import { descendants, errorOf, filesUnder, startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { onnxModel } from '../support/onnx-bytes.ts';

const demoBundle = fileURLToPath(new URL('../../samples/spleen_ct_demo', import.meta.url));
const mebibyte = 1024 ** 2;

/** The demo's bundle around another network, so that a volume costs memory but next to no computing. */
function addBundle(endpoint: TestEndpoint, name: string, network: Buffer, mapJson: object = {}): void {
  const dir = mkdtempSync(join(endpoint.filesDir, 'bundle-'));
  cpSync(demoBundle, dir, { recursive: true });
  execFileSync('chmod', ['-R', 'u+w', dir]);
  writeFileSync(join(dir, 'models/model.onnx'), network);
  const own = JSON.parse(readFileSync(join(dir, 'map.json'), 'utf8')) as object;
  writeFileSync(join(dir, 'map.json'), JSON.stringify({ ...own, outputs: [{ type: 'nifti' }], ...mapJson }));
  endpoint.addModel(dir, name);
}
const window = [1, 1, 96, 96, 96];
const identity = onnxModel({ dims: window });

const residentBytes = (pid: number): number => {
  try {
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
};

describe('memory', () => {
  let endpoint: TestEndpoint;
  const budgetBytes = 1600 * mebibyte;
  beforeAll(async () => {
    endpoint = await startTestEndpoint({
      PIPELINES: '4',
      WORKERS: '2',
      MEMORY_BUDGET_BYTES: String(budgetBytes),
    });
  }, 60_000);
  afterAll(() => endpoint?.stop());

  it('is enough for any number of big requests: they wait for each other, and all are answered', async () => {
    addBundle(endpoint, 'big.tar.gz', identity);
    const series = join(endpoint.filesDir, 'phantom');
    await phantomSeries(series, 100);
    const invoke = (n: number) =>
      endpoint.invoke('big.tar.gz', {
        inputs: [{ uri: `${pathToFileURL(series).href}/` }],
        output: { uri: `${pathToFileURL(endpoint.filesDir).href}/out/` },
        inferenceId: `big-${n}`,
      });
    const pid = endpoint.process.pid as number;
    const startedAt = performance.now();
    let watching = true;
    let peakBytes = 0;
    let single = 0;
    let most = 0;
    const watch = (async () => {
      while (watching) {
        const pipelines = descendants(pid, 'me-pipeline');
        const sum = [...pipelines, ...descendants(pid, 'me-session')].reduce((s, p) => s + residentBytes(p), 0);
        peakBytes = Math.max(peakBytes, sum);
        single = Math.max(single, ...pipelines.map(residentBytes));
        const text = await (await fetch(`${endpoint.url}/metrics`)).text();
        most = Math.max(most, Number(/map_endpoint_running_jobs (\d+)/.exec(text)?.[1]));
        await sleep(20);
      }
    })();
    const responses = await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(invoke));
    watching = false;
    await watch;
    const answers = await Promise.all(responses.map((r) => r.json()));
    console.log({ ms: performance.now() - startedAt, peakMb: peakBytes / mebibyte, single: single / mebibyte, most });
    console.log(JSON.stringify(answers[0]).slice(0, 600), JSON.stringify(answers.map((a) => a.timingsMs)));
    console.log(descendants(pid, 'me-pipeline').map((p) => residentBytes(p) / mebibyte));
    expect(responses.map(({ status }) => status)).toEqual(Array(8).fill(200));
  });
});
