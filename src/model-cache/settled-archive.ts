import { setTimeout as sleep } from 'node:timers/promises';
import { abortError } from '../errors.ts';
import type { ArchiveSource, StoredArchive } from './archive-source.ts';

/** A file that was changed this recently may still be being written. */
const settleMs = 1_000;
const lookAgainMs = 200;

/**
 * What lies under a target, once it is no longer being written: the place is looked at again until the last change
 * was a while ago. Undefined when there is nothing.
 *
 * @param nowMs - epoch milliseconds, on the clock that stamps the files
 * @throws what `head` throws; the signal's reason
 */
export async function settledArchive(
  source: ArchiveSource,
  target: string,
  signal: AbortSignal,
  nowMs: () => number,
): Promise<StoredArchive | undefined> {
  for (;;) {
    const stored = await source.head(target, signal);
    if (stored?.modifiedAtMs === undefined) return stored;
    const ageMs = nowMs() - stored.modifiedAtMs;
    // A stamp from the future says nothing about now.
    if (ageMs >= settleMs || ageMs < -settleMs) return stored;
    await sleep(lookAgainMs, undefined, { signal }).catch(() => {
      throw abortError(signal);
    });
  }
}
