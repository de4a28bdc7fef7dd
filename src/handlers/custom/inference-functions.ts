import { EndpointError } from '../../errors.ts';
import type { HandlerContext, HandlerRequest, InferenceFunctions, InitializeContext } from './handler-types.ts';
import type { LoadedHandler } from './loaded-handler.ts';

type Function_ = (...args: never[]) => unknown;

/** The names, ours and those of SageMaker's `inference.py`. */
const names = {
  modelFn: 'model_fn',
  inputFn: 'input_fn',
  predictFn: 'predict_fn',
  outputFn: 'output_fn',
} as const;
const jsonType = 'application/json';

/** True when a module exports any of the functions of `inference.py`. */
export function hasInferenceFunctions(module: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(names).some(([ours, theirs]) => ours in module || theirs in module);
}

/**
 * A handler of the functions of `inference.py`: one request after another, each failing alone.
 *
 * @throws EndpointError `unsupported_bundle`
 */
export function handlerOfFunctions(module: Readonly<Record<string, unknown>>): LoadedHandler {
  const pick = (name: keyof typeof names): Function_ | undefined => {
    const given = module[name] ?? module[names[name]];
    if (given === undefined || typeof given === 'function') return given as Function_ | undefined;
    throw new EndpointError('unsupported_bundle', `code/handler.mjs exports ${name}, which is no function.`);
  };
  const predictFn = pick('predictFn') as InferenceFunctions['predictFn'] | undefined;
  if (!predictFn) {
    const message = 'code/handler.mjs exports functions of inference.py, but no predictFn.';
    throw new EndpointError('unsupported_bundle', message);
  }
  const modelFn = pick('modelFn') as InferenceFunctions['modelFn'];
  const inputFn = (pick('inputFn') as InferenceFunctions['inputFn']) ?? decodeInput;
  const outputFn = pick('outputFn') as InferenceFunctions['outputFn'];
  let model: unknown;

  const handleOne = async (request: HandlerRequest, index: number, context: HandlerContext): Promise<unknown> => {
    const { accept = jsonType, 'content-type': contentType = jsonType } = request.headers;
    const input = await inputFn(request.body, contentType, context);
    const prediction = await predictFn(input, model, context);
    if (!outputFn) return prediction;
    const output = await outputFn(prediction, accept, context);
    // The function was told which type to write, so that is the type of what it wrote.
    const isRaw = typeof output === 'string' || output instanceof Uint8Array;
    if (isRaw && /^[\w.+-]+\/[\w.+-]+$/.test(accept)) context.setResponseContentType(index, accept);
    return output;
  };
  return {
    async initialize(context: InitializeContext) {
      model = modelFn ? await modelFn(context.systemProperties.model_dir, context) : context.network;
    },
    async handle(requests, context) {
      const results: unknown[] = [];
      for (const [index, request] of requests.entries()) {
        context.signal.throwIfAborted();
        results.push(await handleOne(request, index, context).catch(asItemError));
      }
      return results;
    },
  };
}

const asItemError = (thrown: unknown): Error =>
  thrown instanceof Error ? thrown : new EndpointError('model_failed', 'The handler threw something that is no Error.');

/** What `inputFn` does where there is none: JSON and text are decoded, everything else stays bytes. */
function decodeInput(body: Uint8Array, contentType: string): unknown {
  const type = (contentType.split(';')[0] as string).trim().toLowerCase();
  if (type !== jsonType && !type.startsWith('text/')) return body;
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body);
    return type === jsonType ? JSON.parse(text) : text;
  } catch (cause) {
    throw new EndpointError('invalid_request', `The body is not valid ${type} in UTF-8.`, { cause });
  }
}
