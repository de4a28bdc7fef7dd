import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/**
 * JSON logger of a process, to standard error (standard output belongs to `--json`).
 *
 * Never logged: DICOM attributes, UIDs, URIs, file names, paths, credentials. Allowed: datastoreId, imageSetId,
 * request id, model name. Errors are logged by `code` and, for unknown ones, by name and stack positions only.
 *
 * @param process - short name of the process (`front`, `pipeline`, `session`)
 */
export function createLogger(process: string, level: string): Logger {
  return pino(
    {
      level,
      base: { process },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    pino.destination({ fd: 2, sync: true }),
  );
}

/**
 * What may be logged of a thrown value: its class, its code and where in this program it arose. The message is left
 * out, since it can quote the input; the machine's path is cut from each position.
 */
export function loggableError(thrown: unknown): Record<string, unknown> {
  if (!(thrown instanceof Error)) return { name: typeof thrown };
  const positions = (thrown.stack ?? '')
    .split('\n')
    .map((line) => /((?:dist|src|node_modules)\/[^()\s]+:\d+:\d+)/.exec(line)?.[1])
    .filter((position): position is string => position !== undefined)
    .slice(0, 6);
  const code = 'code' in thrown && typeof thrown.code === 'string' ? { code: thrown.code } : {};
  const cause = thrown.cause === undefined ? {} : { cause: loggableError(thrown.cause) };
  return { name: thrown.name, ...code, positions, ...cause };
}
