import { type Command, CommanderError } from 'commander';
import { EndpointError } from '../errors.ts';
import { exitCodes, ReportedFailure, UsageError } from './exit-codes.ts';

/**
 * Runs a command line and gives its exit code. A failure is one line on standard error; with `--json` also
 * `{"error": …}` on standard output, so that a program reads one stream only.
 */
export async function runProgram(program: Command, args: readonly string[]): Promise<number> {
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCodes.ok;
  } catch (thrown) {
    // Commander has written its own message; help and version are no failures.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    const failure = describeFailure(thrown);
    if (args.includes('--json') && !(thrown instanceof ReportedFailure)) {
      process.stdout.write(`${JSON.stringify({ error: { code: failure.code, message: failure.message } })}\n`);
    }
    process.stderr.write(`map-endpoint: ${failure.message}\n`);
    return failure.exitCode;
  }
}

interface Failure {
  readonly code: string;
  readonly message: string;
  readonly exitCode: number;
}

function describeFailure(thrown: unknown): Failure {
  if (thrown instanceof UsageError) return { code: 'usage', message: thrown.message, exitCode: exitCodes.usage };
  if (thrown instanceof EndpointError) {
    const exitCode = thrown.code === 'invalid_request' ? exitCodes.usage : exitCodes.failure;
    return { code: thrown.code, message: thrown.message, exitCode };
  }
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = 'code' in error && typeof error.code === 'string' ? error.code : error.name;
  // An AggregateError of a refused connection has no message of its own.
  const message = error.message || code;
  return {
    code,
    message: code === 'ECONNREFUSED' ? `${message}: is "map-endpoint local" running?` : message,
    exitCode: 1,
  };
}
