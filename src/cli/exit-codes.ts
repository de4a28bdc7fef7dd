/** What the process ends with: 0 done, 1 the work failed, 2 the command line or a setting is wrong. */
export const exitCodes = { ok: 0, failure: 1, usage: 2 } as const;

/** The work failed and its report is on standard output already: only the reason and the exit code are left to give. */
export class ReportedFailure extends Error {
  override readonly name = 'ReportedFailure';
}

/** A command line that is well formed and still makes no sense: two flags that exclude each other, say. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
