import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import type { TimingsMs } from '../api/invocation.ts';
import type { ModelStatus } from '../model-cache/model.ts';
import type { ModelEvents } from '../model-cache/model-events.ts';

/** Values that other parts hold, read when `/metrics` is asked for. */
export interface MetricSources {
  readonly queuedJobs: () => number;
  readonly queuedByModel: () => readonly { readonly modelName: string; readonly requests: number }[];
  readonly runningJobs: () => number;
  readonly pipelineProcesses: () => number;
  readonly pipelineCrashes: () => number;
  readonly handlerProcesses: () => number;
  readonly handlerRestarts: () => number;
  readonly sessionChildren: () => number;
  readonly sessionRestarts: () => number;
  readonly runningWindows: () => number;
  readonly waitingWindows: () => number;
  readonly providerFallback: () => number;
  readonly evictions: () => number;
  readonly models: () => readonly ModelStatus[];
  /** Asynchronous jobs that wait for their turn; 0 where there are none but in local mode. */
  readonly asyncBacklog: () => number;
}

const secondsBuckets = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600];
const prefix = 'map_endpoint_';

/**
 * Prometheus metrics of the front; `docs/observability.md` lists them, checked by a test. Labels are model names,
 * codes and phases: never anything of a patient or a request.
 */
export class EndpointMetrics {
  readonly #registry = new Registry();
  readonly #requests: Counter<'model' | 'code'>;
  readonly #duration: Histogram<'model'>;
  readonly #phases: Histogram<'model' | 'phase'>;
  /** For the model cache, which tells what happens to models. */
  readonly modelEvents: ModelEvents;

  constructor(sources: MetricSources) {
    collectDefaultMetrics({ register: this.#registry });
    this.#requests = this.#counter('requests_total', 'Invocations by model and outcome ("ok" or an error code).', [
      'model',
      'code',
    ]);
    this.#duration = this.#histogram(
      'request_duration_seconds',
      'Time of an invocation, from its arrival to its answer.',
      ['model'],
    );
    this.#phases = this.#histogram('phase_duration_seconds', 'Time of each phase of an invocation.', [
      'model',
      'phase',
    ]);
    this.#readValues(sources);
    this.#readQueues(sources.queuedByModel);
    this.#readModels(sources.models);
    this.modelEvents = this.#countModelEvents();
  }

  /** Counts a finished invocation. `model` is empty for one that named no known model. */
  observe(model: string, code: string, seconds: number): void {
    this.#requests.inc({ model, code });
    this.#duration.observe({ model }, seconds);
  }

  observePhases(model: string, timingsMs: Readonly<Partial<TimingsMs>>): void {
    const { total: _, ...phases } = timingsMs;
    for (const [phase, ms] of Object.entries(phases)) this.#phases.observe({ model, phase }, ms / 1000);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Values of other parts, as they stand when they are asked for. */
  #readValues(sources: MetricSources): void {
    const registers = [this.#registry];
    const gauge = (name: string, help: string, read: () => number): void => {
      new Gauge({
        name: prefix + name,
        help,
        registers,
        collect() {
          this.set(read());
        },
      });
    };
    const counter = (name: string, help: string, read: () => number): void => {
      new Counter({
        name: prefix + name,
        help,
        registers,
        collect() {
          this.reset();
          this.inc(read());
        },
      });
    };
    gauge('queued_jobs', 'Jobs that wait for a process.', sources.queuedJobs);
    gauge('async_backlog', 'Asynchronous jobs that wait for their turn.', sources.asyncBacklog);
    gauge('running_jobs', 'Jobs that run now.', sources.runningJobs);
    gauge('pipeline_processes', 'Pipeline processes that live.', sources.pipelineProcesses);
    counter('pipeline_crashes_total', 'Pipeline processes that died.', sources.pipelineCrashes);
    gauge('handler_processes', 'Processes of custom code that live.', sources.handlerProcesses);
    counter('handler_restarts_total', 'Processes of custom code that died and were replaced.', sources.handlerRestarts);
    gauge('session_children', 'Session children that live, the spare included.', sources.sessionChildren);
    counter('session_restarts_total', 'Session children that died and were replaced.', sources.sessionRestarts);
    gauge('running_windows', 'Windows that run on session children now.', sources.runningWindows);
    gauge('waiting_windows', 'Windows that wait for a session child.', sources.waitingWindows);
    gauge('provider_fallback', '1 when a GPU provider was asked for and the CPU is used.', sources.providerFallback);
    counter('model_evictions_total', 'Models unloaded to make room for others.', sources.evictions);
  }

  #readQueues(queuedByModel: MetricSources['queuedByModel']): void {
    new Gauge({
      name: `${prefix}queued_requests`,
      help: 'Requests of each model that wait for a process.',
      labelNames: ['model'],
      registers: [this.#registry],
      collect() {
        this.reset();
        for (const { modelName, requests } of queuedByModel()) this.set({ model: modelName }, requests);
      },
    });
  }

  #readModels(models: () => readonly ModelStatus[]): void {
    const registers = [this.#registry];
    new Gauge({
      name: `${prefix}model_state`,
      help: '1 for the state of each model: LOADING, READY, UNLOADING, or FAILED with the code as its reason.',
      labelNames: ['model', 'state', 'reason'],
      registers,
      collect() {
        this.reset();
        // Two versions of a model can be there at once: each counts.
        for (const { name, state, reason } of models()) this.inc({ model: name, state, reason: reason ?? '' });
      },
    });
    new Gauge({
      name: `${prefix}model_memory_bytes`,
      help: 'Memory that the processes of each model hold, or that is set aside for them.',
      labelNames: ['model'],
      registers,
      collect() {
        this.reset();
        for (const { name, sizeBytes } of models()) this.inc({ model: name }, sizeBytes);
      },
    });
  }

  #countModelEvents(): ModelEvents {
    const loads = this.#counter('model_loads_total', 'Loads of models by outcome ("ok" or an error code).', [
      'model',
      'code',
    ]);
    const loadTime = this.#histogram('model_load_duration_seconds', 'Time of a load, its wait for room included.', [
      'model',
    ]);
    const downloads = this.#counter('model_downloads_total', 'Copies from MODEL_DATA_URL by outcome.', [
      'model',
      'code',
    ]);
    const downloadTime = this.#histogram('model_download_duration_seconds', 'Time of a copy from MODEL_DATA_URL.', [
      'model',
    ]);
    const lookups = this.#counter(
      'model_cache_lookups_total',
      'Whether a wanted model was loaded (memory), and if not, unpacked (disk).',
      ['cache', 'result'],
    );
    return {
      loaded: (model, code, seconds) => {
        loads.inc({ model, code });
        loadTime.observe({ model }, seconds);
      },
      downloaded: (model, code, seconds) => {
        downloads.inc({ model, code });
        downloadTime.observe({ model }, seconds);
      },
      lookedUp: (cache, isHit) => lookups.inc({ cache, result: isHit ? 'hit' : 'miss' }),
    };
  }

  #counter<Label extends string>(name: string, help: string, labelNames: Label[]): Counter<Label> {
    return new Counter({ name: prefix + name, help, labelNames, registers: [this.#registry] });
  }

  #histogram<Label extends string>(name: string, help: string, labelNames: Label[]): Histogram<Label> {
    return new Histogram({
      name: prefix + name,
      help,
      labelNames,
      buckets: secondsBuckets,
      registers: [this.#registry],
    });
  }
}
