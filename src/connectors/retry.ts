import { setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { abortError, EndpointError, throwIfAborted } from '../errors.ts';

/** How often and how patiently a call to a remote service is made again. */
export interface RetryPolicy {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  /** The n-th wait is a random time up to `baseDelayMs · 2ⁿ⁻¹` ("full jitter"), never above `maxDelayMs`. */
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
  /** An attempt that has received no byte for this long is given up (and made again). */
  readonly stallTimeoutMs: number;
}

/** Six attempts with about 1.5 s of waiting in all: short enough for a 60 s request, long enough for a throttled second. */
export const defaultRetryPolicy: RetryPolicy = {
  attempts: 6,
  baseDelayMs: 100,
  maxDelayMs: 4_000,
  stallTimeoutMs: 10_000,
};

/** One attempt: its signal reaches the socket; `alive` is called at every sign of life. */
export interface Attempt {
  readonly signal: AbortSignal;
  alive(): void;
}

/** Thrown inside an attempt that stalled. Always worth another one. */
export class StallError extends Error {
  override readonly name = 'StallError';
}

/**
 * Runs an attempt until it succeeds, its failure is not transient, the attempts are used up, or the signal aborts.
 *
 * @param isTransient - whether a failure may pass; the last failure is thrown as it is
 * @throws the signal's reason as EndpointError; else what the last attempt threw
 */
export async function withRetry<T>(
  run: (attempt: Attempt) => Promise<T>,
  options: { readonly policy: RetryPolicy; readonly signal: AbortSignal; isTransient(error: unknown): boolean },
): Promise<T> {
  const { policy, signal } = options;
  setMaxListeners(0, signal); // each call in flight listens to it
  for (let attempt = 1; ; attempt++) {
    throwIfAborted(signal);
    try {
      return await runAttempt(run, policy.stallTimeoutMs, signal);
    } catch (error) {
      throwIfAborted(signal);
      const transient =
        error instanceof StallError || (!(error instanceof EndpointError) && options.isTransient(error));
      if (!transient || attempt >= policy.attempts) throw error;
      const ceiling = Math.min(policy.maxDelayMs, policy.baseDelayMs * 2 ** (attempt - 1));
      await sleep(Math.random() * ceiling, undefined, { signal }).catch(() => {
        throw abortError(signal);
      });
    }
  }
}

/** One for all: an abort without a reason makes a new DOMException with its stack, at every frame. */
const attemptOver = new StallError('The attempt is over.');

async function runAttempt<T>(
  run: (attempt: Attempt) => Promise<T>,
  stallTimeoutMs: number,
  signal: AbortSignal,
): Promise<T> {
  const controller = new AbortController();
  const stop = (reason: unknown) => controller.abort(reason);
  const onAbort = () => stop(abortError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  const timer = setTimeout(() => stop(new StallError('No byte arrived in time.')), stallTimeoutMs);
  // The SDK may leave its promise pending when the socket dies under it: the abort settles the attempt by itself.
  const stopped = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => reject(controller.signal.reason), { once: true });
  });
  try {
    return await Promise.race([run({ signal: controller.signal, alive: () => void timer.refresh() }), stopped]);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    stopped.catch(() => {});
    // Whatever the attempt left open (a half-read body) is closed with it.
    stop(attemptOver);
  }
}
