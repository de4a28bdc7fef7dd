import { asEndpointError } from '../errors.ts';
import type { Span } from './span.ts';

/** Runs work within a span, which ends with it: failed, with its code, when the work throws. */
export async function traced<T>(span: Span, work: () => Promise<T> | T): Promise<T> {
  try {
    const value = await work();
    span.end();
    return value;
  } catch (thrown) {
    span.end(asEndpointError(thrown).code);
    throw thrown;
  }
}
