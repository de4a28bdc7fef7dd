import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { asEndpointError, EndpointError, type ErrorBody } from '../errors.ts';
import type { Handler, HandlerContext, HandlerRequest, HandlerResult } from './contract.ts';

/** The i-th outcome of a call. */
export type HandlerItem =
  | { readonly ok: true; readonly result: HandlerResult; readonly headers: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly error: ErrorBody };

/** Results over this go to a file: they would hold up the channel between the processes. */
const inlineResultBytes = 1024 * 1024;

/**
 * Calls a handler and checks what it gives: as many results as requests, each with a body, or an error for that item
 * alone.
 *
 * @throws EndpointError `model_failed` when the list has another length; what the handler throws
 */
export async function runHandler(
  handler: Handler,
  requests: readonly HandlerRequest[],
  context: Omit<HandlerContext, 'setResponseHeader'>,
): Promise<HandlerItem[]> {
  const headers = requests.map((): Record<string, string> => ({}));
  const results = await handler.handle(requests, {
    ...context,
    setResponseHeader(index, name, value) {
      const target = headers[index];
      if (!target)
        throw new EndpointError('model_failed', `The handler set a header of answer ${index}, which does not exist.`);
      target[name.toLowerCase()] = value;
    },
  });
  if (!Array.isArray(results) || results.length !== requests.length) {
    const given = Array.isArray(results) ? `${results.length} results` : 'no list';
    throw new EndpointError('model_failed', `The handler gave ${given} for ${requests.length} requests.`);
  }
  return await Promise.all(
    results.map(async (result: HandlerResult | Error, index): Promise<HandlerItem> => {
      if (result instanceof Error) return { ok: false, error: asEndpointError(result).toJSON() };
      const dir = requests[index]?.scratchDir ?? context.scratchDir;
      const spooled = await spoolBigResult(result, join(dir, `result-${index}`));
      return { ok: true, result: spooled, headers: headers[index] as Record<string, string> };
    }),
  );
}

async function spoolBigResult(result: HandlerResult, path: string): Promise<HandlerResult> {
  if (result.body === undefined || result.body.length <= inlineResultBytes) return result;
  const { body, ...rest } = result;
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  await writeFile(path, body, { mode: 0o600 });
  return { ...rest, bodyPath: path };
}
