import type { HandlerContext, HandlerRequest, InitializeContext } from './handler-types.ts';

/** A handler of any of the accepted forms. What it gives is not checked yet. */
export interface LoadedHandler {
  initialize(context: InitializeContext): Promise<void>;
  handle(requests: readonly HandlerRequest[], context: HandlerContext): Promise<unknown>;
}
