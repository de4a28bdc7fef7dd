import type { HandlerContext, HandlerRequest } from './contract.ts';

/** The context of one request of a call: its own signal, deadline, folder and waits, where several came together. */
export function ownContext(request: HandlerRequest, context: HandlerContext): HandlerContext {
  return {
    ...context,
    signal: request.signal ?? context.signal,
    deadline: request.deadline ?? context.deadline,
    scratchDir: request.scratchDir ?? context.scratchDir,
    waitedMs: request.waitedMs ?? context.waitedMs,
  };
}
