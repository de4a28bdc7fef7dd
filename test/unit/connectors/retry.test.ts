import { describe, expect, it } from 'vitest';
import { type Attempt, StallError, withRetry } from '../../../src/connectors/retry.ts';
import { EndpointError } from '../../../src/errors.ts';

const policy = { attempts: 3, baseDelayMs: 1, maxDelayMs: 2, stallTimeoutMs: 20 };
const signal = new AbortController().signal;
const transient = { policy, signal, isTransient: () => true };

/** Fails so many times, then gives the number of attempts. */
function failing(times: number, error: () => Error) {
  let count = 0;
  return async () => {
    count += 1;
    if (count <= times) throw error();
    return count;
  };
}

describe('withRetry', () => {
  it('tries again until it works', async () => {
    await expect(
      withRetry(
        failing(2, () => new Error('reset')),
        transient,
      ),
    ).resolves.toBe(3);
  });

  it('throws the last failure when the attempts are used up', async () => {
    await expect(
      withRetry(
        failing(3, () => new Error('reset')),
        transient,
      ),
    ).rejects.toThrow('reset');
  });

  it('tries once when the failure is not transient', async () => {
    const run = failing(1, () => new Error('denied'));
    await expect(withRetry(run, { ...transient, isTransient: () => false })).rejects.toThrow('denied');
    await expect(run()).resolves.toBe(2);
  });

  it('never retries an error that is ours', async () => {
    const run = failing(1, () => new EndpointError('payload_too_large', 'too big'));
    await expect(withRetry(run, transient)).rejects.toMatchObject({ code: 'payload_too_large' });
    await expect(run()).resolves.toBe(2);
  });

  it('gives a silent attempt up and aborts it', async () => {
    const seen: Attempt[] = [];
    const silent = (attempt: Attempt) => {
      seen.push(attempt);
      return new Promise<never>(() => {});
    };
    await expect(withRetry(silent, transient)).rejects.toBeInstanceOf(StallError);
    expect(seen).toHaveLength(3);
    expect(seen.every((attempt) => attempt.signal.aborted)).toBe(true);
  });

  it('lets an attempt live that shows signs of life', async () => {
    const slow = async (attempt: Attempt) => {
      for (let n = 0; n < 6; n++) {
        await new Promise((resolve) => setTimeout(resolve, 8));
        attempt.alive();
      }
      return 'done';
    };
    await expect(withRetry(slow, { ...transient, policy: { ...policy, stallTimeoutMs: 40 } })).resolves.toBe('done');
  });

  it('stops at once when the request is aborted, with its reason', async () => {
    const controller = new AbortController();
    const reason = new EndpointError('deadline_exceeded', 'too late');
    const hanging = withRetry(() => new Promise<never>(() => {}), {
      ...transient,
      policy: { ...policy, stallTimeoutMs: 60_000 },
      signal: controller.signal,
    });
    controller.abort(reason);
    await expect(hanging).rejects.toBe(reason);
  });
});
