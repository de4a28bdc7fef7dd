import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { errorTable } from '../../../src/errors.ts';
import { writeTestFolder } from '../../support/connectors/part10-files.ts';
import { regularSlices } from '../../support/connectors/test-series.ts';
import { descendants, startTestEndpoint, type TestEndpoint } from '../../support/endpoint.ts';
import { parseMetrics, type ScrapedMetric } from '../../support/prometheus.ts';

const bundle = fileURLToPath(new URL('../../../samples/spleen_ct_demo', import.meta.url));
const codes = ['ok', ...Object.keys(errorTable)];

/** Every label of ours, and all that may stand in it. What is not listed here must not be exported. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  model: ['', 'spleen', 'broken'],
  code: codes,
  phase: ['queue', 'load', 'fetch', 'decode', 'preprocess', 'inference', 'postprocess', 'write'],
  state: ['LOADING', 'READY', 'UNLOADING', 'FAILED'],
  reason: ['', ...codes],
  cache: ['memory', 'disk'],
  result: ['hit', 'miss'],
};

describe('the metrics of an endpoint that works', () => {
  let endpoint: TestEndpoint;
  let metrics: ScrapedMetric[];
  let text: string;

  beforeAll(async () => {
    endpoint = await startTestEndpoint();
    endpoint.addModel(bundle, 'spleen.tar.gz');
    writeFileSync(join(endpoint.modelsDir, 'broken.tar.gz'), 'no archive');
    const slices = regularSlices(8, { rows: 16, columns: 16, patientId: 'PATIENT-77' });
    const folder = writeTestFolder(join(endpoint.filesDir, 'Doe-Jane'), slices);
    const { datastoreId, imageSets } = await endpoint.importFolder(folder);
    const imageSetId = imageSets[0]?.imageSetId as string;
    const inputs = [{ datastoreId, imageSetId, seriesInstanceUid: '1.2.3.4' }];
    const output = { uri: `file://${endpoint.filesDir}/Doe-results` };
    const status = async (target: string | undefined, body: object) => (await endpoint.invoke(target, body)).status;
    expect(await status('spleen.tar.gz', { inputs, output, inferenceId: 'Doe-inference' })).toBe(200);
    expect(await status('spleen.tar.gz', { inputs: [{ uri: `file://${folder}/` }] })).toBe(200);
    expect(await status('spleen.tar.gz', { inputs: [{ uri: 'file:///nowhere/Doe/' }] })).toBe(403);
    expect(await status('broken.tar.gz', { inputs })).toBe(422);
    expect(await status('Doe-model.tar.gz', { inputs })).toBe(404);
    expect(await status(undefined, { model: 'Doe-model', inputs })).toBe(404);
    const [child] = descendants(endpoint.process.pid as number, 'me-session');
    process.kill(child as number, 'SIGKILL');
    await vi.waitFor(async () => {
      text = await (await fetch(`${endpoint.url}/metrics`)).text();
      expect(text).toMatch(/^map_endpoint_session_children [1-9]/m);
    });
    metrics = await parseMetrics({ text: async () => text });
  }, 120_000);
  afterAll(() => endpoint?.stop());

  it('hold nothing in their labels but names of models, codes, phases and states', () => {
    const ours = metrics.filter(({ name }) => name.startsWith('map_endpoint_'));
    expect(ours.length).toBeGreaterThan(15);
    for (const { name, samples } of ours) {
      for (const sample of samples) {
        for (const [label, value] of Object.entries(sample)) {
          if (label !== 'le') expect(allowed[label] ?? [], `${name} ${label}`).toContain(value);
        }
      }
    }
    for (const secret of ['Doe', 'PATIENT', 'file:', '1.2.3', endpoint.dataDir]) expect(text).not.toContain(secret);
    expect(text).not.toMatch(/"[0-9a-z]{32}"|[0-9a-f]{8}-[0-9a-f]{4}-|\.tar\.gz/);
  });

  it('count what happened', () => {
    const value = (sample: string) =>
      Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${sample} `))
          ?.split(' ')[1],
      );
    expect(value('map_endpoint_requests_total{model="spleen",code="ok"}')).toBe(2);
    expect(value('map_endpoint_requests_total{model="spleen",code="forbidden"}')).toBe(1);
    expect(value('map_endpoint_model_loads_total{model="spleen",code="ok"}')).toBe(1);
    expect(value('map_endpoint_model_downloads_total{model="spleen",code="ok"}')).toBe(1);
    expect(value('map_endpoint_model_cache_lookups_total{cache="memory",result="hit"}')).toBe(2);
    expect(value('map_endpoint_model_cache_lookups_total{cache="disk",result="miss"}')).toBe(2);
    expect(value('map_endpoint_model_state{model="spleen",state="READY",reason=""}')).toBe(1);
    expect(value('map_endpoint_model_state{model="broken",state="FAILED",reason="invalid_archive"}')).toBe(1);
    expect(value('map_endpoint_phase_duration_seconds_count{model="spleen",phase="inference"}')).toBe(2);
    expect(value('map_endpoint_model_memory_bytes{model="spleen"}')).toBeGreaterThan(1e7);
  });
});
