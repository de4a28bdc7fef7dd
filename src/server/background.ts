import { randomUUID } from 'node:crypto';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { BackgroundPlan, BackgroundStatus } from '../api/background-status.ts';
import type { InvocationAnswer } from '../api/invocation.ts';
import { asEndpointError, EndpointError } from '../errors.ts';
import { type Logger, loggableError } from '../logger.ts';
import type { LoadedModel, ModelLease } from '../model-cache/model.ts';
import type { JobRequest, PipelineHost } from '../pipeline-host/pipeline-host.ts';
import type { JobItem, PipelineJob, PipelineModel } from '../pipeline-host/protocol.ts';
import type { Span } from '../tracing/span.ts';
import { traced } from '../tracing/traced.ts';
import type { HandlerAnswer } from './answer.ts';
import type { Call } from './call.ts';
import type { EndpointMetrics } from './metrics.ts';

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

type HandlerRequest = PipelineJob['requests'][number];

interface Running {
  readonly fingerprint: string;
  readonly controller: AbortController;
  /** Rejects when the place of the results can't be written, or the queue is full. */
  readonly taken: Promise<void>;
  readonly done: Promise<void>;
}

/** How the work ended, as its status tells. */
type Ending = Pick<BackgroundStatus, 'state' | 'result' | 'error'>;

/** A QUEUED or RUNNING status that nobody has touched for this long belongs to a server that is gone. */
const staleMs = 60_000;
/** A pipeline process that does not end its job by itself is killed after five seconds; then the status is written. */
const cancelMs = 7_000;
const statusTimeoutMs = 10_000;
const statusAttempts = 3;

/** True for a JSON body that says so; the rest of the request is checked later. */
export function isBackground({ headers, body, protocol }: Pick<Call, 'headers' | 'body' | 'protocol'>): boolean {
  const type = (headers['content-type'] ?? 'application/json').split(';')[0] as string;
  const isJson = type.trim().toLowerCase() === 'application/json';
  if (!isJson || body.bytes === undefined || protocol !== undefined) return false;
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
   * @param find - pins the model that the call names
   * @throws EndpointError the stored error of the same request; `conflict` when its inferenceId is another's;
   *   `invalid_request` without `output`; `overloaded`; what finding the model or the output place may fail with
   */
  async accept(call: Call, find: () => Promise<ModelLease>): Promise<HandlerAnswer> {
    const findStartedAt = performance.now();
    let lease: ModelLease | undefined;
    let handedOver = false;
    try {
      lease = await traced(call.span.child('load'), find);
      const loadMs = performance.now() - findStartedAt;
      call.onModel?.(lease.model.name);
      const request: HandlerRequest = {
        body: call.body.bytes as Uint8Array,
        headers: call.headers,
        requestId: call.requestId,
      };
      const model = pipelineModelOf(lease.model);
      const plan = await this.#options.host.errand({ kind: 'plan', model, request }, call.signal);
      if (!plan) throw new EndpointError('internal', 'A background request has no plan.');
      let running = this.#runningOf(plan);
      if (!running) {
        const earlier = answerOfEarlier(plan);
        if (earlier) return earlier;
        // Nothing was awaited since the look: of equal requests at the same time, one starts the work.
        running = this.#start(plan, lease, request, { loadMs, span: call.span.child('background') });
        handedOver = true;
        this.#running.set(plan.prefixUri, running);
      }
      await running.taken;
      return accepted(plan);
    } catch (thrown) {
      if (!handedOver) this.#count(lease?.model.name ?? '', asEndpointError(thrown).code, call.startedAt);
      throw thrown;
    } finally {
      if (!handedOver) lease?.release();
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

  /** The same work, if this server is at it. */
  #runningOf(plan: BackgroundPlan): Running | undefined {
    const running = this.#running.get(plan.prefixUri);
    if (!running || running.fingerprint === plan.fingerprint) return running;
    const message = `The inferenceId ${plan.inferenceId} is used there now with other inputs, model or outputs. Use another one.`;
    throw new EndpointError('conflict', message);
  }

  #start(
    plan: BackgroundPlan,
    lease: ModelLease,
    request: HandlerRequest,
    { loadMs, span }: { loadMs: number; span: Span },
  ): Running {
    const startedAt = performance.now();
    const controller = new AbortController();
    const scratchDir = join(this.#options.scratchRoot, randomUUID());
    // Before anything is promised, the place is proved to be writable, and the queue to have room.
    const begun = this.#tell(plan, { state: 'QUEUED' }).then(() => {
      const work = this.#work(lease, { ...request, background: plan }, { loadMs, scratchDir, span, controller });
      return { work, told: work.then((ending) => this.#end(plan, ending, scratchDir)) };
    });
    const taken = begun.then(async ({ work, told }) => {
      // A queue refuses at once or not at all.
      const ending = await Promise.race([work, turn(undefined)]);
      if (!ending?.error) return;
      await told;
      throw EndpointError.fromBody(ending.error);
    });
    const done = begun
      .then(({ work, told }) => told.then(() => work))
      .catch((thrown: unknown): Ending => ({ state: 'FAILED', error: asEndpointError(thrown).toJSON() }))
      .then(({ error }) => {
        const { name } = lease.model;
        const code = error?.code ?? 'ok';
        span.end(error?.code);
        this.#count(name, code, startedAt);
        this.#options.logger.info({ requestId: request.requestId, model: name, code }, 'background job ended');
        lease.release();
        this.#running.delete(plan.prefixUri);
      });
    return { fingerprint: plan.fingerprint, controller, taken, done };
  }

  /** Does the work. Never rejects. */
  async #work(
    { model }: ModelLease,
    request: HandlerRequest,
    {
      loadMs,
      scratchDir,
      span,
      controller,
    }: Pick<JobRequest, 'loadMs' | 'scratchDir' | 'span'> & { controller: AbortController },
  ): Promise<Ending> {
    const { host, metrics, logger, timeoutSeconds, modelTimeoutSeconds } = this.#options;
    const limitSeconds = Math.min(timeoutSeconds, modelTimeoutSeconds(model.key) ?? Number.POSITIVE_INFINITY);
    const timer = setTimeout(() => {
      const message = `The work took longer than ${limitSeconds} s (BACKGROUND_TIMEOUT_SECONDS, or the model's map.json).`;
      controller.abort(new EndpointError('deadline_exceeded', message));
    }, limitSeconds * 1000);
    try {
      const items = await host.run(
        {
          model: pipelineModelOf(model),
          signature: model.signature,
          requests: [request],
          deadline: Date.now() + limitSeconds * 1000,
          scratchDir,
          loadMs,
          span,
        },
        controller.signal,
      );
      const result = await resultOf(items[0]);
      metrics.observePhases(model.name, result.timingsMs);
      return { state: 'SUCCEEDED', result };
    } catch (thrown) {
      const error = asEndpointError(thrown);
      if (error.code === 'internal') logger.error({ error: loggableError(thrown) }, 'a background job failed');
      return { state: 'FAILED', error: error.toJSON() };
    } finally {
      clearTimeout(timer);
    }
  }

  /** Cleans up after the work and tells how it ended. Never rejects. */
  async #end(plan: BackgroundPlan, ending: Ending, scratchDir: string): Promise<void> {
    await rm(scratchDir, { recursive: true, force: true }).catch(() => undefined);
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#tell(plan, ending);
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

  #count(model: string, code: string, startedAt: number): void {
    this.#options.metrics.observe(model, code, (performance.now() - startedAt) / 1000);
  }

  async #tell(plan: BackgroundPlan, state: Ending): Promise<void> {
    const { prefixUri, inferenceId, fingerprint } = plan;
    const status = { ...state, inferenceId, fingerprint, updatedAt: new Date().toISOString() };
    await this.#options.host.errand({ kind: 'status', prefixUri, status }, AbortSignal.timeout(statusTimeoutMs));
  }
}

/** The answer of a request that was here before; undefined when the work is to be done. */
function answerOfEarlier(plan: BackgroundPlan): HandlerAnswer | undefined {
  if (plan.answer) return jsonAnswer(200, plan.answer);
  const { status } = plan;
  if (status?.state === 'FAILED' && status.error && status.error.code !== 'overloaded') {
    throw EndpointError.fromBody(status.error);
  }
  const isUnderWay = status?.state === 'QUEUED' || status?.state === 'RUNNING';
  return isUnderWay && Date.now() - Date.parse(status.updatedAt) < staleMs ? accepted(plan) : undefined;
}

const pipelineModelOf = ({ key, name, dir, digest }: LoadedModel): PipelineModel => ({ key, name, dir, digest });

async function resultOf(item: JobItem | undefined): Promise<InvocationAnswer> {
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
