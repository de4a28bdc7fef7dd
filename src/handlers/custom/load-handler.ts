import { pathToFileURL } from 'node:url';
import { EndpointError } from '../../errors.ts';
import { handlerError } from './handler-errors.ts';
import type { Handler } from './handler-types.ts';
import { handlerOfFunctions, hasInferenceFunctions } from './inference-functions.ts';
import type { LoadedHandler } from './loaded-handler.ts';

type Constructor = new () => Handler;

/** Where a handler lies in its archive. */
export const handlerFile = 'code/handler.mjs';

/**
 * Imports the handler of an archive.
 *
 * @throws EndpointError `model_failed` when the module can't be imported; `unsupported_bundle` when it exports no handler
 */
export async function loadHandler(modelDir: string): Promise<LoadedHandler> {
  let module: Readonly<Record<string, unknown>>;
  try {
    module = await import(pathToFileURL(`${modelDir}/${handlerFile}`).href);
  } catch (thrown) {
    throw handlerError(thrown, modelDir, `${handlerFile} could not be loaded: `);
  }
  try {
    return pickHandler(module);
  } catch (thrown) {
    throw handlerError(thrown, modelDir, `The handler's constructor failed: `);
  }
}

/**
 * The handler among a module's exports: the default one; else its functions; else its only class.
 *
 * @throws EndpointError `unsupported_bundle`; what a constructor throws
 */
export function pickHandler(module: Readonly<Record<string, unknown>>): LoadedHandler {
  const { default: main } = module;
  if (isClass(main)) return handlerOf(new main());
  if (typeof main === 'function') return handlerOf({ handle: main as NonNullable<Handler['handle']> });
  if (typeof main === 'object' && main !== null) {
    return hasInferenceFunctions({ ...main }) ? handlerOfFunctions({ ...main }) : handlerOf(main);
  }
  const hasPhases = typeof module.handle === 'function' || typeof module.inference === 'function';
  if (hasInferenceFunctions(module)) {
    if (hasPhases) throw unsupported('exports both the functions of inference.py and those of a handler');
    return handlerOfFunctions(module);
  }
  if (hasPhases) return handlerOf(module as Handler);
  const classes = Object.values(module).filter(isHandlerClass);
  if (classes.length > 1) throw unsupported('exports several handler classes and none of them as default');
  const [only] = classes;
  if (!only) throw unsupported('exports no handler: a class or functions with handle or inference, or predictFn');
  return handlerOf(new only());
}

function handlerOf(given: Handler): LoadedHandler {
  for (const name of ['initialize', 'preprocess', 'inference', 'postprocess', 'handle'] as const) {
    const method: unknown = given[name];
    if (method !== undefined && typeof method !== 'function') throw unsupported(`has a ${name} that is no function`);
  }
  if (!given.handle && !given.inference) throw unsupported('exports a handler that has neither handle nor inference');
  return {
    async initialize(context) {
      await given.initialize?.(context);
    },
    async handle(requests, context) {
      if (given.handle) return await given.handle(requests, context);
      const data: unknown = given.preprocess ? await given.preprocess(requests, context) : requests;
      const outputs: unknown = await given.inference?.(data, context);
      return given.postprocess ? await given.postprocess(outputs, context) : outputs;
    },
  };
}

const isClass = (value: unknown): value is Constructor =>
  typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value));

function isHandlerClass(value: unknown): value is Constructor {
  if (!isClass(value)) return false;
  const { handle, inference } = value.prototype as Partial<Handler>;
  return typeof handle === 'function' || typeof inference === 'function';
}

const unsupported = (what: string): EndpointError =>
  new EndpointError('unsupported_bundle', `${handlerFile} ${what} (docs/handlers.md).`);
