import type { Request } from 'express';
import { headerLengthHeader } from '../api/oip.ts';
import { EndpointError } from '../errors.ts';
import type { ModelLease } from '../model-cache/model.ts';
import type { PipelineHost } from '../pipeline-host/pipeline-host.ts';
import { traced } from '../tracing/traced.ts';
import type { HandlerAnswer } from './answer.ts';
import { type BackgroundJobs, isBackground } from './background.ts';
import type { Acquire, Call, HandlerProtocol, OnProgress } from './call.ts';
import { isJsonLines } from './json-lines.ts';
import { answerLines } from './line-batch.ts';
import type { EndpointMetrics } from './metrics.ts';
import { receiveBody } from './request-body.ts';
import { contextOf, type RequestContext } from './request-context.ts';
import { targetModelHeader, wantedModel } from './wanted-model.ts';

/** Where the models of a server come from; wired in `main.ts` for each regime. */
export interface ModelDirectory {
  /**
   * Finds a model, loads it where this regime loads on demand, and pins it.
   *
   * @param target - TargetModel with its suffix; undefined: the one model that this server was given
   * @param bundle - the bundle, where the archive holds several
   * @throws EndpointError `model_not_found`, `invalid_request`, and what a load may fail with
   */
  acquire(target: string | undefined, signal: AbortSignal, bundle?: string): Promise<ModelLease>;
  /** The model's own time limit, where its `map.json` sets one. */
  timeoutSeconds(key: string): number | undefined;
}

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

export interface InvokerOptions {
  readonly host: Pick<PipelineHost, 'run'>;
  readonly models: ModelDirectory;
  readonly metrics: EndpointMetrics;
  readonly maxBodyBytes: number;
  /** Lines of a JSON Lines request that are worked on at once. */
  readonly concurrentLines: number;
  /** Lines that one JSON Lines request may have. */
  readonly maxLines: number;
  /** Takes requests whose work goes on after the answer. */
  readonly background?: Pick<BackgroundJobs, 'accept'>;
}

export interface InvokeOptions {
  readonly acquire?: Acquire;
  /** Throws when the request is refused as a whole, whatever is in it. */
  readonly check?: () => void;
  /** Headers that take the place of the request's own (lower-case names). */
  readonly headers?: Readonly<Record<string, string>>;
  readonly onProgress?: OnProgress;
  readonly protocol?: HandlerProtocol;
}

/** Runs invocations: receive the body, find the model, queue the job, give its answer. */
export class Invoker {
  readonly #options: InvokerOptions;

  constructor(options: InvokerOptions) {
    this.#options = options;
  }

  /**
   * Serves one invocation of the model that the request names; a request of JSON Lines is many, one a line.
   *
   * @throws EndpointError what the one inference failed with; of JSON Lines only what stops the request as a whole
   */
  async invoke(request: Request, options: InvokeOptions = {}): Promise<HandlerAnswer> {
    const context = contextOf(request);
    context.working = true;
    try {
      const call = await this.#callOf(request, context, options);
      const { background } = this.#options;
      return background && isBackground(call)
        ? await background.accept(call, () => this.#acquire(call))
        : await this.run(call);
    } finally {
      context.working = false;
      // The answer may still be read from the folder; `close` removes it then.
      if (context.closed) context.discardScratch();
    }
  }

  /** Runs a call whose body is here; throws as {@link invoke} does. The caller removes its scratch folder. */
  async run(call: Call): Promise<HandlerAnswer> {
    if (!isJsonLines(call.headers['content-type'])) return await this.#counted(call);
    const { maxLines, concurrentLines, maxBodyBytes: maxAnswerBytes } = this.#options;
    return await answerLines(call, (line) => this.#counted(line), { maxLines, concurrentLines, maxAnswerBytes });
  }

  /** Runs one inference and counts it. */
  async #counted(call: Call): Promise<HandlerAnswer> {
    let model = '';
    const counted: Call = {
      ...call,
      onModel: (name) => {
        model = name;
        call.onModel?.(name);
      },
    };
    try {
      const answer = await this.#run(counted);
      this.#options.metrics.observe(model, 'ok', secondsSince(call.startedAt));
      return answer;
    } catch (thrown) {
      const code = thrown instanceof EndpointError ? thrown.code : 'internal';
      this.#options.metrics.observe(model, code, secondsSince(call.startedAt));
      throw thrown;
    }
  }

  async #callOf(request: Request, context: RequestContext, options: InvokeOptions): Promise<Call> {
    try {
      options.check?.();
      const body = await receiveBody(request, {
        maxBytes: this.#options.maxBodyBytes,
        scratchDir: context.scratchDir,
        signal: context.signal,
      });
      return {
        requestId: context.requestId,
        startedAt: context.startedAt,
        deadline: context.deadline,
        signal: context.signal,
        scratchDir: context.scratchDir,
        span: context.span,
        headers: { ...handlerHeaders(request), ...options.headers },
        body,
        acquire: options.acquire,
        onProgress: options.onProgress,
        protocol: options.protocol,
        onModel: (name) => {
          context.model = name;
        },
      };
    } catch (thrown) {
      const code = thrown instanceof EndpointError ? thrown.code : 'internal';
      this.#options.metrics.observe('', code, secondsSince(context.startedAt));
      throw thrown;
    }
  }

  /** Pins the model that a call names, loaded. */
  async #acquire(call: Call): Promise<ModelLease> {
    const { target, bundle } = await wantedModel(call.headers, call.body, call.acquire !== undefined);
    if (call.acquire) return await call.acquire(call.signal, bundle);
    return await this.#options.models.acquire(target, call.signal, bundle);
  }

  async #run(call: Call): Promise<HandlerAnswer> {
    const loadStartedAt = performance.now();
    const lease = await traced(call.span.child('load'), () => this.#acquire(call));
    const loadMs = performance.now() - loadStartedAt;
    const { model } = lease;
    call.onModel?.(model.name);
    call.span.set({ 'map_endpoint.model': model.name, 'map_endpoint.model.sha256': model.digest });
    const limit = modelLimit(this.#options.models.timeoutSeconds(model.key), call);
    try {
      const items = await this.#options.host.run(
        {
          model: { key: model.key, name: model.name, dir: model.dir, digest: model.digest },
          signature: model.signature,
          requests: [
            {
              ...(call.body.path === undefined ? { body: call.body.bytes } : { bodyPath: call.body.path }),
              headers: call.headers,
              requestId: call.requestId,
              ...(call.protocol === undefined ? {} : { protocol: call.protocol }),
            },
          ],
          deadline: limit.deadline,
          scratchDir: call.scratchDir,
          loadMs,
          span: call.span,
        },
        limit.signal,
        call.onProgress,
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

/** The least of the call's deadline and the model's own limit, both counted from the call's start. */
function modelLimit(
  timeoutSeconds: number | undefined,
  call: Call,
): { deadline: number; signal: AbortSignal; clear(): void } {
  const elapsedMs = performance.now() - call.startedAt;
  const ownDeadline = timeoutSeconds === undefined ? Infinity : Date.now() - elapsedMs + timeoutSeconds * 1000;
  if (timeoutSeconds === undefined || ownDeadline >= call.deadline) {
    return { deadline: call.deadline, signal: call.signal, clear: () => undefined };
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
    signal: AbortSignal.any([call.signal, controller.signal]),
    clear: () => clearTimeout(timer),
  };
}

function handlerHeaders(request: Request): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const name of forwardedHeaders) {
    const value = request.get(name);
    if (value !== undefined) headers[name] = value;
  }
  return headers;
}

const secondsSince = (startedAt: number): number => (performance.now() - startedAt) / 1000;
