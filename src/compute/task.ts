import { compiledUrl } from '../compiled-url.ts';

/** A function that a compute thread can import and call: compiled module and export name. */
export interface TaskReference<I, O> {
  readonly module: string;
  readonly name: string;
  /** Never set: carries the types. */
  readonly types?: (input: I) => O;
}

/**
 * Names an exported function of a module next to the caller as a task for a {@link ComputePool}.
 *
 * @example
 * const decode = defineTask<DecodeInput, DecodeOutput>(import.meta.url, './decode-task.ts', 'decodeFrame');
 */
export function defineTask<I, O>(importMetaUrl: string, relative: string, name: string): TaskReference<I, O> {
  return { module: compiledUrl(importMetaUrl, relative).href, name };
}
