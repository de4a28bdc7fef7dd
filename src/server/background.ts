import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { BackgroundPlan, BackgroundStatus } from '../api/background-status.ts';
import type { InvocationAnswer } from '../api/invocation.ts';
import { asEndpointError, EndpointError } from '../errors.ts';
import { type Logger, loggableError } from '../logger.ts';
import type { ModelLease } from '../model-cache/model.ts';
import type { PipelineHost } from '../pipeline-host/pipeline-host.ts';
import type { PipelineJob, PipelineModel } from '../pipeline-host/protocol.ts';
import type { HandlerAnswer } from './answer.ts';
import type { EndpointMetrics } from './metrics.ts';
import type { ReceivedBody } from './request-body.ts';
import type { RequestContext } from './request-context.ts';

export interface BackgroundOptions {
  readonly host: Pick<PipelineHost, 'run' | 'errand'>;
  /** The model's own limit, where its `map.json` sets one. */
  readonly modelTimeoutSeconds: (key: string) => number | undefined;
  readonly timeoutSeconds: number;
  /** Parent of the jobs' scratch folders. */
  readonly scratchRoot: string;
  readonly metrics: EndpointMetrics;
  readonly logger: Logger;
}

/** A request that asks to be worked on after its answer. */
export interface BackgroundRequest {
  readonly context: Pick<RequestContext, 'requestId' | 'signal'> & { model?: string };
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  readonly find: (signal: AbortSignal) => Promise<ModelLease>;
}

type HandlerRequest = PipelineJob['requests'][number];

interface Running {
  readonly fingerprint: string;
  readonly controller: AbortController;
  /** Rejects when the place of the results can't be written. */
  readonly queued: Promise<void>;
  readonly done: Promise<void>;
}

/** A QUEUED or RUNNING status that nobody has touched for this long belongs to a server that is gone. */
const staleMs = 60_000;
/** A pipeline process that does not end its job by itself is killed after five seconds; then the status is written. */
const cancelMs = 7_000;
const statusTimeoutMs = 10_000;
const statusAttempts = 3;

/** True for a JSON body with a `mode`; what it says is checked with the rest of the request. */
export function isBackground(headers: Readonly<Record<string, string>>, body: ReceivedBody): boolean {
  const type = (headers['content-type'] ?? 'application/json').split(';')[0] as string;
  if (type.trim().toLowerCase() !== 'application/json' || body.bytes === undefined) return false;
  const text = Buffer.from(body.bytes).toString('utf8');
  if (!text.includes('"mode"')) return false;
  try {
    return (JSON.parse(text) as { mode?: unknown } | null)?.mode === 'background';
  } catch {
    return false; // refused with the rest of the request
  }
}

/**
 * Work that outlives its request (`"mode": "background"`): accepted with 202 and the place of its results, told in
 * `status.json` there, and found again by the same request.
 */
export class BackgroundJobs {
  readonly #options: BackgroundOptions;
  readonly #running = new Map<string, Running>();

  constructor(options: BackgroundOptions) {
    this.#options = options;
  }

  /**
   * Starts the work of a request, or finds it again: 202 while it runs, 200 with the stored answer afterwards.
   *
   * @throws EndpointError the stored error of the same request; `conflict` when its inferenceId is another's;
   *   `invalid_request` without `output`; what finding the model or the output place may fail with
   */
  async accept({ context, headers, body, find }: BackgroundRequest): Promise<HandlerAnswer> {
    const startedAt = performance.now();
    const lease = await find(context.signal);
    const loadMs = performance.now() - startedAt;
    context.model = lease.model.name;
    let handedOver = false;
    try {
      const request: HandlerRequest = { body, headers, requestId: context.requestId };
      const model = pipelineModelOf(lease);
      const plan = await this.#options.host.errand({ kind: 'plan', model, request }, context.signal);
      if (!plan) throw new EndpointError('internal', 'A background request has no plan.');
      const known = this.#known(plan);
      if (known) return known;
      // From here to the entry nothing is awaited: of equal requests at the same time, one starts the work.
      const started = this.#start(plan, lease, request, loadMs);
      handedOver = true;
      this.#running.set(plan.prefixUri, { fingerprint: plan.fingerprint, ...started });
      await started.queued;
      return accepted(plan);
    } finally {
      if (!handedOver) lease.release();
    }
  }

  /** Lets running jobs end for a while, then stops them; each has a final status when this resolves. */
  async close(graceMs: number): Promise<void> {
    const all = (): Promise<unknown> => Promise.all([...this.#running.values()].map(({ done }) => done));
    await Promise.race([all(), sleep(graceMs, undefined, { ref: false })]);
    const message = 'The server was stopped while it worked on this request. Send the same request again.';
    for (const { controller } of this.#running.values()) controller.abort(new EndpointError('overloaded', message));
    await Promise.race([all(), sleep(cancelMs, undefined, { ref: false })]);
  }

  /** The answer of a request that was here before; undefined when the work is to be done. */
  #known(plan: BackgroundPlan): HandlerAnswer | undefined {
    const running = this.#running.get(plan.prefixUri);
    if (running) {
      if (running.fingerprint === plan.fingerprint) return accepted(plan);
      const message = `The inferenceId ${plan.inferenceId} is used there now with other inputs, model or outputs. Use another one.`;
      throw new EndpointError('conflict', message);
    }
    if (plan.answer) return jsonAnswer(200, plan.answer);
    const { status } = plan;
    if (status?.state === 'FAILED' && status.error && status.error.code !== 'overloaded') {
      throw EndpointError.fromBody(status.error);
    }
    const isUnderWay = status?.state === 'QUEUED' || status?.state === 'RUNNING';
    return isUnderWay && Date.now() - Date.parse(status.updatedAt) < staleMs ? accepted(plan) : undefined;
  }

  #start(
    plan: BackgroundPlan,
    lease: ModelLease,
    request: HandlerRequest,
    loadMs: number,
  ): Omit<Running, 'fingerprint'> {
    const controller = new AbortController();
    // The place is proved to be writable before anything is promised.
    const queued = this.#tell(plan, { state: 'QUEUED' });
    const done = queued
      .then(() => this.#run(plan, lease, request, loadMs, controller))
      .catch(() => undefined)
      .finally(() => {
        lease.release();
        this.#running.delete(plan.prefixUri);
      });
    return { controller, queued, done };
  }

  async #run(
    plan: BackgroundPlan,
    lease: ModelLease,
    request: HandlerRequest,
    loadMs: number,
    controller: AbortController,
  ): Promise<void> {
    const { host, metrics, logger, scratchRoot, timeoutSeconds, modelTimeoutSeconds } = this.#options;
    const { model } = lease;
    const startedAt = performance.now();
    const limitSeconds = Math.min(timeoutSeconds, modelTimeoutSeconds(model.key) ?? Number.POSITIVE_INFINITY);
    const timer = setTimeout(() => {
      const message = `The work took longer than ${limitSeconds} s (BACKGROUND_TIMEOUT_SECONDS, or the model's map.json).`;
      controller.abort(new EndpointError('deadline_exceeded', message));
    }, limitSeconds * 1000);
    const scratchDir = join(scratchRoot, randomUUID());
    let ended: Pick<BackgroundStatus, 'state' | 'result' | 'error'>;
    try {
      const items = await host.run(
        {
          model: pipelineModelOf(lease),
          signature: model.signature,
          requests: [{ ...request, background: plan }],
          deadline: Date.now() + limitSeconds * 1000,
          scratchDir,
          loadMs,
        },
        controller.signal,
      );
      ended = { state: 'SUCCEEDED', result: await resultOf(items[0]) };
      metrics.observePhases(model.name, ended.result?.timingsMs ?? {});
    } catch (thrown) {
      const error = asEndpointError(thrown);
      if (error.code === 'internal') logger.error({ error: loggableError(thrown) }, 'a background job failed');
      ended = { state: 'FAILED', error: error.toJSON() };
    } finally {
      clearTimeout(timer);
      await rm(scratchDir, { recursive: true, force: true });
    }
    const code = ended.error?.code ?? 'ok';
    metrics.observe(model.name, code, (performance.now() - startedAt) / 1000);
    logger.info({ requestId: request.requestId, model: model.name, code }, 'background job ended');
    await this.#tellEnd(plan, ended);
  }

  async #tellEnd(plan: BackgroundPlan, ended: Pick<BackgroundStatus, 'state' | 'result' | 'error'>): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#tell(plan, ended);
        return;
      } catch (thrown) {
        if (attempt < statusAttempts) continue;
        this.#options.logger.error(
          { error: loggableError(thrown) },
          'the status of a background job cannot be written',
        );
        return;
      }
    }
  }

  async #tell(plan: BackgroundPlan, told: Pick<BackgroundStatus, 'state' | 'result' | 'error'>): Promise<void> {
    const { prefixUri, inferenceId, fingerprint } = plan;
    const status = { ...told, inferenceId, fingerprint, updatedAt: new Date().toISOString() };
    await this.#options.host.errand({ kind: 'status', prefixUri, status }, AbortSignal.timeout(statusTimeoutMs));
  }
}

const pipelineModelOf = ({ model: { key, name, dir, digest } }: ModelLease): PipelineModel => ({
  key,
  name,
  dir,
  digest,
});

async function resultOf(item: Awaited<ReturnType<PipelineHost['run']>>[number] | undefined): Promise<InvocationAnswer> {
  if (!item) throw new EndpointError('model_failed', 'The handler gave no result.');
  if (!item.ok) throw EndpointError.fromBody(item.error);
  const { body, bodyPath } = item.result;
  const bytes = bodyPath === undefined ? (body ?? new Uint8Array()) : await readFile(bodyPath);
  return JSON.parse(Buffer.from(bytes).toString('utf8')) as InvocationAnswer;
}

const accepted = ({ inferenceId, prefixUri }: BackgroundPlan): HandlerAnswer =>
  jsonAnswer(202, { inferenceId, resultPrefix: prefixUri, status: `${prefixUri}status.json` });

const jsonAnswer = (status: number, value: object): HandlerAnswer => ({
  ok: true,
  result: { status, body: Buffer.from(JSON.stringify(value)), contentType: 'application/json' },
  headers: {},
});
