import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { ModelStatus } from '../../../src/model-cache/model.ts';
import { EndpointMetrics, type MetricSources } from '../../../src/server/metrics.ts';
import { parseMetrics } from '../../support/prometheus.ts';

const models: ModelStatus[] = [
  { name: 'spleen', state: 'READY', sizeBytes: 300 },
  { name: 'spleen', state: 'UNLOADING', sizeBytes: 200 },
  { name: 'bad', state: 'FAILED', reason: 'invalid_archive', sizeBytes: 0 },
];

function exercised(): EndpointMetrics {
  const seven = (): number => 7;
  const sources: MetricSources = {
    queuedJobs: seven,
    queuedByModel: () => [{ modelName: 'spleen', requests: 2 }],
    runningJobs: seven,
    pipelineProcesses: seven,
    pipelineCrashes: seven,
    asyncBacklog: seven,
    handlerProcesses: seven,
    handlerRestarts: seven,
    sessionChildren: seven,
    sessionRestarts: seven,
    runningWindows: seven,
    waitingWindows: seven,
    providerFallback: seven,
    evictions: seven,
    models: () => models,
  };
  const metrics = new EndpointMetrics(sources);
  metrics.observe('spleen', 'ok', 0.2);
  metrics.observePhases('spleen', { queue: 1, inference: 150, total: 200 });
  metrics.modelEvents.loaded('spleen', 'ok', 0.3);
  metrics.modelEvents.downloaded('spleen', 'ok', 0.1);
  metrics.modelEvents.lookedUp('memory', false);
  return metrics;
}

describe('EndpointMetrics', () => {
  it('exports exactly what docs/observability.md lists', async () => {
    const page = readFileSync(new URL('../../../docs/observability.md', import.meta.url), 'utf8');
    const documented = page
      .split('\n')
      .filter((line) => line.startsWith('| `map_endpoint_'))
      .map((line) =>
        line
          .slice(1, -1)
          .split('|')
          .map((cell) => cell.trim()),
      )
      .map(([name, type, labels, help]) => [name?.replaceAll('`', ''), type, labels, help]);
    const exported = (await parseMetrics(exercised()))
      .filter(({ name }) => name.startsWith('map_endpoint_'))
      .map(({ name, type, labels, help }) => [name, type, labels.join(', '), help]);
    expect(exported.sort()).toEqual(documented.sort());
  });

  it('names counters and units as Prometheus does', async () => {
    for (const { name, type } of await parseMetrics(exercised())) {
      if (!name.startsWith('map_endpoint_')) continue;
      expect(name.endsWith('_total'), name).toBe(type === 'counter');
      expect(name, name).not.toMatch(/_(ms|milliseconds|kb|mb|minutes)(_|$)/);
      if (type === 'histogram') expect(name).toMatch(/_seconds$/);
    }
  });

  it('reads counters of other parts as they stand, at each scrape', async () => {
    const metrics = exercised();
    await metrics.text();
    expect(await metrics.text()).toMatch(/^map_endpoint_model_evictions_total 7$/m);
  });

  it('tells the states of models, and adds up two versions of one', async () => {
    const text = await exercised().text();
    expect(text).toContain('map_endpoint_model_state{model="spleen",state="READY",reason=""} 1');
    expect(text).toContain('map_endpoint_model_state{model="bad",state="FAILED",reason="invalid_archive"} 1');
    expect(text).toContain('map_endpoint_model_memory_bytes{model="spleen"} 500');
  });

  it('counts loads, downloads and lookups, and takes the total for no phase', async () => {
    const text = await exercised().text();
    expect(text).toContain('map_endpoint_model_loads_total{model="spleen",code="ok"} 1');
    expect(text).toContain('map_endpoint_model_load_duration_seconds_sum{model="spleen"} 0.3');
    expect(text).toContain('map_endpoint_model_downloads_total{model="spleen",code="ok"} 1');
    expect(text).toContain('map_endpoint_model_cache_lookups_total{cache="memory",result="miss"} 1');
    expect(text).toContain('phase="inference"');
    expect(text).not.toContain('phase="total"');
  });
});
