import { readFileSync } from 'node:fs';
import { validateHeaderName, validateHeaderValue } from 'node:http';
import { EndpointError, throwIfAborted } from '../../errors.ts';
import type { Network } from '../../imaging/network.ts';
import type { HandlerResult, HandlerContext as InnerContext, HandlerRequest as InnerRequest } from '../contract.ts';
import { handlerError } from './handler-errors.ts';
import type { HandlerContext, HandlerRequest, InitializeContext } from './handler-types.ts';
import { handlerFile } from './load-handler.ts';
import type { LoadedHandler } from './loaded-handler.ts';
import { type AnswerSettings, checkContentType, checkStatus, encodeResult } from './results.ts';

/** What a process knows of the model whose code it runs. */
export interface CustomModelFacts {
  readonly name: string;
  readonly dir: string;
  readonly digest: string;
  readonly serverVersion: string;
  readonly network: Network | undefined;
}

/** What the adapter needs of its process for one call. */
export type CustomCallContext = Pick<
  InnerContext,
  'signal' | 'deadline' | 'scratchDir' | 'progress' | 'setResponseHeader'
> &
  Pick<HandlerContext, 'runBundle'>;

/** Headers that belong to the connection, or that the server sets from the answer itself. */
const serversHeaders = [
  'connection',
  'content-length',
  'date',
  'keep-alive',
  'transfer-encoding',
  'upgrade',
  'x-request-id',
];

/** Adapts a handler of an archive to the contract of the built-in one: contexts in, checked results out. */
export class CustomHandler {
  readonly #loaded: LoadedHandler;
  readonly #facts: CustomModelFacts;

  constructor(loaded: LoadedHandler, facts: CustomModelFacts) {
    this.#loaded = loaded;
    this.#facts = facts;
  }

  /** @throws EndpointError `model_failed` with the cause's message */
  async initialize(): Promise<void> {
    try {
      await this.#loaded.initialize(this.#base(1));
    } catch (thrown) {
      throw handlerError(asPlain(thrown), this.#facts.dir, `The handler's initialize failed: `);
    }
  }

  /**
   * Calls the handler. The list that comes back is as long as the handler's: the caller compares it with the requests.
   *
   * @throws EndpointError what the handler threw, as `model_failed` or with the code that it gave; the signal's reason
   */
  async handle(
    requests: readonly InnerRequest[],
    inner: CustomCallContext,
  ): Promise<readonly (HandlerResult | Error)[]> {
    const settings = requests.map((): { contentType?: string; status?: number } => ({}));
    const { dir } = this.#facts;
    let results: unknown;
    try {
      results = await this.#loaded.handle(requests.map(withBody), this.#context(inner, settings));
    } catch (thrown) {
      throwIfAborted(inner.signal);
      throw handlerError(thrown, dir);
    }
    if (!Array.isArray(results)) return results as HandlerResult[];
    return Array.from(results, (result: unknown, index) => encodeItem(result, settings[index] ?? {}, dir));
  }

  #base(batchSize: number): InitializeContext {
    const { name, dir, digest, serverVersion, network } = this.#facts;
    const systemProperties = {
      model_dir: dir,
      gpu_id: null,
      model_name: name,
      batch_size: batchSize,
      server_name: 'map-endpoint',
      server_version: serverVersion,
    };
    const serialized = network ? { serializedFile: 'models/model.onnx' } : {};
    return {
      systemProperties,
      system_properties: systemProperties,
      manifest: { sha256: digest, model: { modelName: name, handler: handlerFile, ...serialized } },
      network,
    };
  }

  #context(inner: CustomCallContext, settings: { contentType?: string; status?: number }[]): HandlerContext {
    const { network } = this.#facts;
    const settingsOf = (index: number): { contentType?: string; status?: number } => {
      const found = settings[index];
      if (found) return found;
      throw new EndpointError('model_failed', `The handler set answer ${index}, which does not exist.`);
    };
    const setResponseContentType = (index: number, contentType: string): void => {
      settingsOf(index).contentType = checkContentType(contentType);
    };
    return {
      ...this.#base(settings.length),
      network: network && boundTo(network, inner.signal),
      signal: inner.signal,
      deadline: inner.deadline,
      scratchDir: inner.scratchDir,
      progress: (fraction, phase) => inner.progress(Math.min(1, Math.max(0, Number(fraction) || 0)), String(phase)),
      setResponseHeader(index, name, value) {
        if (String(name).toLowerCase() === 'content-type') return setResponseContentType(index, value);
        inner.setResponseHeader(index, checkHeader(name, value), value);
      },
      setResponseContentType,
      setResponseStatus: (index, status) => {
        settingsOf(index).status = checkStatus(status);
      },
      runBundle: (request) => inner.runBundle(request),
    };
  }
}

/** Windows end with the call that asked for them, whether the handler passes its signal on or not. */
function boundTo(network: Network, signal: AbortSignal): Network {
  const { inputs, outputs, concurrency } = network;
  return { inputs, outputs, concurrency, run: (tensors, own) => network.run(tensors, own ?? signal) };
}

function encodeItem(result: unknown, settings: AnswerSettings, modelDir: string): HandlerResult | EndpointError {
  if (result instanceof Error) return handlerError(result, modelDir);
  try {
    return encodeResult(result, settings);
  } catch (thrown) {
    return handlerError(thrown, modelDir); // a toJSON of the author's may throw too
  }
}

/** The request as a handler sees it: the body of a spooled one is read when it is looked at. */
function withBody({ body, bodyPath, headers, requestId }: InnerRequest): HandlerRequest {
  if (bodyPath === undefined) return { body: body ?? new Uint8Array(), headers, requestId };
  let read: Uint8Array | undefined;
  return {
    get body() {
      read ??= readFileSync(bodyPath);
      return read;
    },
    bodyPath,
    headers,
    requestId,
  };
}

function checkHeader(name: string, value: string): string {
  const lower = String(name).toLowerCase();
  try {
    validateHeaderName(lower);
    validateHeaderValue(lower, value);
  } catch (cause) {
    throw new EndpointError('model_failed', 'The handler set a header that is none.', { cause });
  }
  if (!serversHeaders.includes(lower)) return lower;
  throw new EndpointError('model_failed', `The handler set the header ${lower}, which is the server's.`);
}

/** An error of ours that `initialize` ran into is told with its message too. */
function asPlain(thrown: unknown): unknown {
  return thrown instanceof EndpointError ? new Error(thrown.message, { cause: thrown }) : thrown;
}
