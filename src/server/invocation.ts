import { rm } from 'node:fs/promises';
import type { Request } from 'express';
import { headerLengthHeader } from '../api/oip.ts';
import { checkTargetModel, modelNameOfTarget } from '../api/target-model.ts';
import { EndpointError } from '../errors.ts';
import type { ModelLease } from '../model-cache/model.ts';
import type { JobRequest, PipelineHost } from '../pipeline-host/pipeline-host.ts';
import { traced } from '../tracing/traced.ts';
import type { HandlerAnswer } from './answer.ts';
import type { EndpointMetrics } from './metrics.ts';
import { type ReceivedBody, receiveBody } from './request-body.ts';
import { contextOf, type RequestContext } from './request-context.ts';

/** Where the models of a server come from; wired in `main.ts` for each regime. */
export interface ModelDirectory {
  /**
   * Finds a model, loads it where this regime loads on demand, and pins it.
   *
   * @param target - TargetModel with its suffix; undefined: the one model that this server was given
   * @throws EndpointError `model_not_found`, `invalid_request`, and what a load may fail with
   */
  acquire(target: string | undefined, signal: AbortSignal): Promise<ModelLease>;
  /** The model's own time limit, where its `map.json` sets one. */
  timeoutSeconds(key: string): number | undefined;
}

/** Header by which SageMaker names the model. */
export const targetModelHeader = 'x-amzn-sagemaker-target-model';
const inferenceIdHeader = 'x-amzn-sagemaker-inference-id';
/** Headers that a handler sees. */
const forwardedHeaders = [
  'content-type',
  'accept',
  inferenceIdHeader,
  targetModelHeader,
  'x-amzn-sagemaker-custom-attributes',
  'x-amzn-sagemaker-session-id',
  'traceparent',
  headerLengthHeader,
  'tracestate',
];

/** What a call may say of its body to the handler. */
type HandlerProtocol = NonNullable<JobRequest['requests'][number]['protocol']>;

export interface InvokerOptions {
  readonly host: Pick<PipelineHost, 'run'>;
  readonly models: ModelDirectory;
  readonly metrics: EndpointMetrics;
  readonly maxBodyBytes: number;
}

/** Runs invocations: receive the body, find the model, queue the job, give its answer. */
export class Invoker {
  readonly #options: InvokerOptions;

  constructor(options: InvokerOptions) {
    this.#options = options;
  }

  /**
   * Serves one invocation of the model that the request's header or body names.
   *
   * @param acquire - finds the model another way (SageMaker's `/models/{n}/invoke`)
   * @param protocol - what the body is, where the call says it
   */
  async invoke(
    request: Request,
    acquire?: (signal: AbortSignal) => Promise<ModelLease>,
    protocol?: HandlerProtocol,
  ): Promise<HandlerAnswer> {
    const context = contextOf(request);
    context.working = true;
    try {
      const body = await receiveBody(request, {
        maxBytes: this.#options.maxBodyBytes,
        scratchDir: context.scratchDir,
        signal: context.signal,
      });
      const find = acquire ?? ((signal: AbortSignal) => this.#options.models.acquire(targetOf(request, body), signal));
      const answer = await this.#run(request, context, body, find, protocol);
      this.#options.metrics.observe(context.model ?? '', 'ok', secondsSince(context));
      return answer;
    } catch (thrown) {
      const code = thrown instanceof EndpointError ? thrown.code : 'internal';
      this.#options.metrics.observe(context.model ?? '', code, secondsSince(context));
      throw thrown;
    } finally {
      context.working = false;
      // The answer may still be read from the folder; `close` removes it then.
      if (context.signal.aborted) await rm(context.scratchDir, { recursive: true, force: true });
    }
  }

  async #run(
    request: Request,
    context: RequestContext,
    body: ReceivedBody,
    find: (signal: AbortSignal) => Promise<ModelLease>,
    protocol: HandlerProtocol | undefined,
  ): Promise<HandlerAnswer> {
    const loadStartedAt = performance.now();
    const lease = await traced(context.span.child('load'), () => find(context.signal));
    const loadMs = performance.now() - loadStartedAt;
    const { model } = lease;
    context.model = model.name;
    context.span.set({ 'map_endpoint.model': model.name, 'map_endpoint.model.sha256': model.digest });
    const limit = modelLimit(this.#options.models.timeoutSeconds(model.key), context);
    try {
      const items = await this.#options.host.run(
        {
          model: { key: model.key, name: model.name, dir: model.dir, digest: model.digest },
          signature: model.signature,
          requests: [
            {
              ...(body.path === undefined ? { body: body.bytes } : { bodyPath: body.path }),
              headers: handlerHeaders(request),
              requestId: context.requestId,
              ...(protocol === undefined ? {} : { protocol }),
            },
          ],
          deadline: limit.deadline,
          scratchDir: context.scratchDir,
          loadMs,
          span: context.span,
        },
        limit.signal,
      );
      const item = items[0];
      if (!item) throw new EndpointError('model_failed', 'The handler gave no result.');
      if (!item.ok) throw EndpointError.fromBody(item.error);
      if (item.result.timingsMs) this.#options.metrics.observePhases(model.name, item.result.timingsMs);
      return item;
    } finally {
      limit.clear();
      lease.release();
    }
  }
}

/** The least of the request's deadline and the model's own limit, both counted from the request's arrival. */
function modelLimit(
  timeoutSeconds: number | undefined,
  context: RequestContext,
): { deadline: number; signal: AbortSignal; clear(): void } {
  const elapsedMs = performance.now() - context.startedAt;
  const ownDeadline = timeoutSeconds === undefined ? Infinity : Date.now() - elapsedMs + timeoutSeconds * 1000;
  if (timeoutSeconds === undefined || ownDeadline >= context.deadline) {
    return { deadline: context.deadline, signal: context.signal, clear: () => undefined };
  }
  const controller = new AbortController();
  const timer = setTimeout(
    () => {
      const message = `The request took longer than the model's limit of ${timeoutSeconds} s (map.json).`;
      controller.abort(new EndpointError('deadline_exceeded', message));
    },
    Math.max(0, ownDeadline - Date.now()),
  );
  return {
    deadline: ownDeadline,
    signal: AbortSignal.any([context.signal, controller.signal]),
    clear: () => clearTimeout(timer),
  };
}

/** The TargetModel of a request: SageMaker's header, else the body's `model`. */
function targetOf(request: Request, body: ReceivedBody): string | undefined {
  const header = request.get(targetModelHeader);
  if (header !== undefined) return checkTargetModel(header);
  const isJson = request.get('content-type')?.toLowerCase().startsWith('application/json') ?? false;
  if (!isJson || body.bytes === undefined) return undefined;
  let model: unknown;
  try {
    model = (JSON.parse(Buffer.from(body.bytes).toString('utf8')) as { model?: unknown } | null)?.model;
  } catch (cause) {
    throw new EndpointError('invalid_request', 'The body is not valid JSON.', { cause });
  }
  if (model === undefined) return undefined;
  if (typeof model !== 'string') throw new EndpointError('invalid_request', '"model" must be a string.');
  return checkTargetModel(`${modelNameOfTarget(model)}.tar.gz`);
}

function handlerHeaders(request: Request): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of forwardedHeaders) {
    const value = request.get(name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

const secondsSince = (context: RequestContext): number => (performance.now() - context.startedAt) / 1000;
