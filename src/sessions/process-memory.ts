import { readFile } from 'node:fs/promises';

/** Memory of a process in bytes. */
export interface ProcessMemory {
  /** Its share of resident memory now (PSS: pages shared with others count in part). */
  readonly usedBytes: number;
  /** The most that it held since its start: the kernel's high-water mark, less what it shares now. */
  readonly peakBytes: number;
}

/**
 * Reads the memory of a process from `/proc`. Undefined when the process is gone or this system has no `/proc`.
 */
export async function readProcessMemory(pid: number): Promise<ProcessMemory | undefined> {
  try {
    const [rollup, status] = await Promise.all([
      readFile(`/proc/${pid}/smaps_rollup`, 'utf8'),
      readFile(`/proc/${pid}/status`, 'utf8'),
    ]);
    const pss = kibibytes(rollup, 'Pss');
    const rss = kibibytes(rollup, 'Rss');
    const highWater = kibibytes(status, 'VmHWM');
    if (pss === undefined || rss === undefined || highWater === undefined) return undefined;
    const shared = rss - pss;
    return { usedBytes: pss * 1024, peakBytes: Math.max(pss, highWater - shared) * 1024 };
  } catch {
    return undefined;
  }
}

function kibibytes(text: string, key: string): number | undefined {
  const value = new RegExp(`^${key}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}
