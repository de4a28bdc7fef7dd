import type { BackgroundPlan, BackgroundStatus } from '../api/background-status.ts';
import type { InvocationAnswer } from '../api/invocation.ts';
import type { OutputSink } from '../connectors/output-sink.ts';
import { EndpointError } from '../errors.ts';
import type { ImagingJob } from './imaging-job.ts';
import { identifyJob } from './job-identity.ts';
import { findResultPlace } from './publish-results.ts';

/**
 * Finds where a background request writes and what became of it before.
 *
 * @throws EndpointError `conflict` when its inferenceId was used there with other inputs; `invalid_request` without
 *   `output`; `forbidden`
 */
export async function planBackground(
  job: Pick<
    ImagingJob,
    'inputs' | 'outputUri' | 'publish' | 'prompts' | 'inferenceId' | 'bundle' | 'mapJson' | 'model' | 'sinks' | 'signal'
  >,
): Promise<BackgroundPlan> {
  const { outputUri } = job;
  if (outputUri === undefined) {
    const message = '"mode": "background" needs "output": {"uri": …}: the result is written there.';
    throw new EndpointError('invalid_request', message);
  }
  const { model, inferenceId, fingerprint } = await identifyJob(job);
  const names = { model: model.name, inferenceId, fingerprint };
  const place = await findResultPlace(job.sinks, outputUri, names, job.signal);
  const { prefixUri, sink, earlier } = place;
  const found = { prefixUri, inferenceId, fingerprint };
  if (earlier !== undefined) return { ...found, answer: answerOf(earlier) };
  const status = (await sink.readStatus(prefixUri, job.signal)) as BackgroundStatus | undefined;
  if (status === undefined) return found;
  if (status.fingerprint !== fingerprint) {
    const message = `The inferenceId ${inferenceId} was used there before with other inputs, model or outputs. Use another one.`;
    throw new EndpointError('conflict', message);
  }
  return { ...found, status };
}

function answerOf(result: unknown): InvocationAnswer {
  const { fingerprint: _, ...answer } = result as InvocationAnswer & { fingerprint: string };
  return answer;
}

const betweenWritesMs = 1_000;
const heartbeatMs = 15_000;

/**
 * Writes the progress of a running job beside its outputs: at most once a second, at least every 15 s. One that can't be
 * written is no reason to stop the work.
 */
export class ProgressWriter {
  readonly #sink: OutputSink;
  readonly #prefixUri: string;
  readonly #base: Pick<BackgroundStatus, 'inferenceId' | 'fingerprint'>;
  readonly #heartbeat: NodeJS.Timeout;
  #progress = { phase: 'fetch', fraction: 0 };
  #writing: Promise<void> | undefined;
  #writtenAt = Number.NEGATIVE_INFINITY;
  #stopped = false;

  constructor(sink: OutputSink, prefixUri: string, base: Pick<BackgroundStatus, 'inferenceId' | 'fingerprint'>) {
    this.#sink = sink;
    this.#prefixUri = prefixUri;
    this.#base = { inferenceId: base.inferenceId, fingerprint: base.fingerprint };
    this.#heartbeat = setInterval(() => this.#write(), heartbeatMs);
    this.#heartbeat.unref();
    this.#write();
  }

  update(fraction: number, phase: string): void {
    this.#progress = { phase, fraction: Math.round(fraction * 1000) / 1000 };
    if (performance.now() - this.#writtenAt >= betweenWritesMs) this.#write();
  }

  /** Resolves when nothing is being written any more; the outputs may then take their place. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#heartbeat);
    await this.#writing;
  }

  #write(): void {
    if (this.#stopped || this.#writing) return;
    this.#writtenAt = performance.now();
    const status: BackgroundStatus = {
      state: 'RUNNING',
      ...this.#base,
      updatedAt: new Date().toISOString(),
      ...this.#progress,
    };
    this.#writing = this.#sink
      .writeStatus(this.#prefixUri, status)
      .catch(() => undefined)
      .finally(() => {
        this.#writing = undefined;
      });
  }
}
