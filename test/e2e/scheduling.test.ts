import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { phantomSeries } from '../../bench/phantom-series.ts';
import { writeNifti } from '../../src/formats/nifti/writer.ts';
import { descendants, errorOf, filesUnder, startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { onnxModel } from '../support/onnx-bytes.ts';

const demoBundle = fileURLToPath(new URL('../../samples/spleen_ct_demo', import.meta.url));
const mebibyte = 1024 ** 2;

/** The demo's bundle around another network, so that a volume costs memory but next to no computing. */
function addBundle(endpoint: TestEndpoint, name: string, network: Buffer, mapJson: object = {}, roi = 96): void {
  const dir = mkdtempSync(join(endpoint.filesDir, 'bundle-'));
  cpSync(demoBundle, dir, { recursive: true });
  execFileSync('chmod', ['-R', 'u+w', dir]);
  writeFileSync(join(dir, 'models/model.onnx'), network);
  const config = join(dir, 'configs/inference.json');
  const program = JSON.parse(readFileSync(config, 'utf8')) as { inferer: object };
  writeFileSync(config, JSON.stringify({ ...program, inferer: { ...program.inferer, roi_size: [roi, roi, roi] } }));
  const own = JSON.parse(readFileSync(join(dir, 'map.json'), 'utf8')) as object;
  writeFileSync(join(dir, 'map.json'), JSON.stringify({ ...own, outputs: [{ type: 'nifti' }], ...mapJson }));
  endpoint.addModel(dir, name);
}
const window = [1, 1, 96, 96, 96];
const identity = onnxModel({ dims: window });

/** Memory of processes; pages that they share count once. */
const heldBytes = (pids: readonly number[]): number =>
  pids.reduce((sum, pid) => {
    try {
      const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
      return sum + Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * 1024;
    } catch {
      return sum; // it ended
    }
  }, 0);

const metric = async (endpoint: TestEndpoint, name: string): Promise<number> => {
  const text = await (await fetch(`${endpoint.url}/metrics`)).text();
  return Number(new RegExp(`^map_endpoint_${name} (\\d+)`, 'm').exec(text)?.[1]);
};

describe('memory', () => {
  let endpoint: TestEndpoint;
  const budgetBytes = 1150 * mebibyte;
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
    await phantomSeries(series, 80);
    const pid = endpoint.process.pid as number;
    const pipelines = (): number[] => descendants(pid, 'me-pipeline');
    const idleBytes = heldBytes(pipelines());
    const peak = { allBytes: 0, oneBytes: 0, running: 0 };
    let watching = true;
    const watch = (async () => {
      while (watching) {
        const pids = pipelines();
        peak.allBytes = Math.max(peak.allBytes, heldBytes([...pids, ...descendants(pid, 'me-session')]));
        for (const one of pids) peak.oneBytes = Math.max(peak.oneBytes, heldBytes([one]));
        peak.running = Math.max(peak.running, await metric(endpoint, 'running_jobs'));
        await sleep(20);
      }
    })();
    const responses = await Promise.all(
      [1, 2, 3, 4, 5, 6].map((n) =>
        endpoint.invoke('big.tar.gz', {
          inputs: [{ uri: `${pathToFileURL(series).href}/` }],
          inferenceId: `big-${n}`,
        }),
      ),
    );
    const answers = (await Promise.all(responses.map((response) => response.json()))) as {
      outputs: { sha256: string }[];
    }[];
    watching = false;
    await watch;
    expect(responses.map(({ status }) => status)).toEqual(Array(6).fill(200));
    expect(new Set(answers.map(({ outputs }) => outputs[0]?.sha256)).size).toBe(1);
    expect(peak.running).toBeGreaterThan(1);
    // What a job needs is learnt from those before it, and differs a little with when garbage is collected.
    expect(peak.allBytes).toBeLessThan(1.05 * budgetBytes);
    // All at once would not have fitted.
    expect(peak.oneBytes * 4).toBeGreaterThan(budgetBytes);
    expect(await metric(endpoint, 'pipeline_crashes_total')).toBe(0);
    const left = () => filesUnder(`${endpoint.dataDir}/run`).filter((file) => file.includes('/requests/'));
    await vi.waitFor(() => expect(left()).toEqual([]));
    // Big processes were replaced: what is left holds about what it held at first.
    await vi.waitFor(() => expect(heldBytes(pipelines())).toBeLessThan(4 * idleBytes + 256 * mebibyte), 10_000);
  });
});

describe('a network that gives NaN', () => {
  it('never becomes ready: the request is refused, nothing of it stays, and WARM_UP=false loads it', async () => {
    const nan = onnxModel({ operator: 'Acosh', dims: [1, 1, 16, 16, 16] });
    const endpoint = await startTestEndpoint();
    try {
      addBundle(endpoint, 'nan.tar.gz', nan, {}, 16);
      const error = await errorOf(await endpoint.invoke('nan.tar.gz', { inputs: [] }));
      expect(error).toMatchObject({ status: 422, code: 'unsupported_bundle', message: expect.stringContaining('NaN') });
      await vi.waitFor(() => expect(descendants(endpoint.process.pid as number, 'me-session').length).toBe(1));
    } finally {
      await endpoint.stop();
    }
    const trusting = await startTestEndpoint({ WARM_UP: 'false' });
    try {
      addBundle(trusting, 'nan.tar.gz', nan, {}, 16);
      expect(await errorOf(await trusting.invoke('nan.tar.gz', { inputs: [] }))).toMatchObject({ status: 400 });
    } finally {
      await trusting.stop();
    }
  });
});

describe('a model that takes batches', () => {
  const volume = async (value: number): Promise<Uint8Array> =>
    await writeNifti({
      data: new Int16Array(8 ** 3).fill(value),
      shape: [8, 8, 8],
      affineRas: [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1],
    });

  it('gets requests that come together as one job: each is answered by its own, a bad one fails alone', async () => {
    const endpoint = await startTestEndpoint({ PIPELINES: '1' });
    try {
      // Nothing but a full batch, or a long wait, starts a job.
      addBundle(endpoint, 'batch.tar.gz', onnxModel({ dims: ['batch', 1, 'x', 'y', 'z'] }), {
        batch: { maxSize: 4, maxDelayMs: 20_000 },
      });
      const post = (body: Uint8Array): Promise<Response> =>
        fetch(`${endpoint.url}/invocations`, {
          method: 'POST',
          headers: { 'content-type': 'application/x-nifti', 'x-amzn-sagemaker-target-model': 'batch.tar.gz' },
          body: body as Uint8Array<ArrayBuffer>,
        });
      const startedAt = performance.now();
      const bodies = [await volume(100), Buffer.from('no image at all'), await volume(-100), await volume(10)];
      const responses = await Promise.all(bodies.map(post));
      expect(performance.now() - startedAt).toBeLessThan(20_000);
      expect(responses.map(({ status }) => status)).toEqual([200, 422, 200, 200]);
      const ids = await Promise.all(
        responses.map(async (response) => ((await response.json()) as { inferenceId?: string }).inferenceId),
      );
      expect(new Set(ids).size).toBe(4);
      const left = () => filesUnder(`${endpoint.dataDir}/run`).filter((file) => file.includes('/requests/'));
      await vi.waitFor(() => expect(left()).toEqual([]));
    } finally {
      await endpoint.stop();
    }
  });
});
