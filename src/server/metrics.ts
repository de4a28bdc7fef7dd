import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { TimingsMs } from '../api/invocation.ts';
import type { ModelStatus } from '../model-cache/model.ts';

/** Values that other parts hold, read when `/metrics` is asked for. */
export interface MetricSources {
  readonly queuedJobs: () => number;
  readonly queuedByModel: () => readonly { readonly modelName: string; readonly requests: number }[];
  readonly runningJobs: () => number;
  readonly pipelineProcesses: () => number;
  readonly pipelineCrashes: () => number;
  readonly sessionChildren: () => number;
  readonly sessionRestarts: () => number;
  readonly runningWindows: () => number;
  readonly providerFallback: () => number;
  readonly evictions: () => number;
  readonly models: () => readonly ModelStatus[];
  /** Asynchronous jobs that wait for their turn; local mode only. */
  readonly asyncBacklog?: () => number;
}

/** Prometheus metrics of the front. Labels are model names, codes and phases: never anything of a patient. */
export class EndpointMetrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<'model' | 'code'>;
  readonly #duration: Histogram<'model'>;
  readonly #phases: Histogram<'model' | 'phase'>;

  constructor(sources: MetricSources) {
    collectDefaultMetrics({ register: this.#registry });
    const registers = [this.#registry];
    const secondsBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];
    this.#requests = new Counter({
      name: 'map_endpoint_requests_total',
      help: 'Invocations by model and outcome ("ok" or an error code).',
      labelNames: ['model', 'code'],
      registers,
    });
    this.#duration = new Histogram({
      name: 'map_endpoint_request_duration_seconds',
      help: 'Time of an invocation, from its arrival to its answer.',
      labelNames: ['model'],
      buckets: secondsBuckets,
      registers,
    });
    this.#phases = new Histogram({
      name: 'map_endpoint_phase_duration_seconds',
      help: 'Time of each phase of an invocation.',
      labelNames: ['model', 'phase'],
      buckets: secondsBuckets,
      registers,
    });
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name: `map_endpoint_${name}`,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    };
    gauge('queued_jobs', 'Jobs that wait for a pipeline process.', sources.queuedJobs);
    if (sources.asyncBacklog)
      gauge('async_backlog', 'Asynchronous jobs that wait for their turn.', sources.asyncBacklog);
    gauge('running_jobs', 'Jobs that run now.', sources.runningJobs);
    gauge('pipeline_processes', 'Pipeline processes.', sources.pipelineProcesses);
    gauge('pipeline_crashes', 'Pipeline processes that died since the start.', sources.pipelineCrashes);
    gauge('session_children', 'Session children.', sources.sessionChildren);
    gauge('session_restarts', 'Session children that died and were replaced since the start.', sources.sessionRestarts);
    gauge('running_windows', 'Windows that run on session children now.', sources.runningWindows);
    gauge('provider_fallback', '1 when a GPU provider was asked for and the CPU is used.', sources.providerFallback);
    gauge('evictions', 'Models unloaded to make room since the start.', sources.evictions);
    new Gauge({
      name: 'map_endpoint_queued_requests',
      help: 'Requests of each model that wait for a pipeline process.',
      labelNames: ['model'],
      registers,
      collect() {
        this.reset();
        for (const { modelName, requests } of sources.queuedByModel()) this.set({ model: modelName }, requests);
      },
    });
    new Gauge({
      name: 'map_endpoint_model_memory_bytes',
      help: 'Memory of the processes of each model, by its state.',
      labelNames: ['model', 'state'],
      registers,
      collect() {
        this.reset();
        for (const { name, state, sizeBytes } of sources.models()) this.set({ model: name, state }, sizeBytes);
      },
    });
  }

  /** Counts a finished invocation. `model` is empty for one that named no known model. */
  observe(model: string, code: string, seconds: number): void {
    this.#requests.inc({ model, code });
    this.#duration.observe({ model }, seconds);
  }

  observePhases(model: string, timingsMs: Readonly<Partial<TimingsMs>>): void {
    for (const [phase, ms] of Object.entries(timingsMs)) this.#phases.observe({ model, phase }, ms / 1000);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
