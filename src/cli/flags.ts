import { type Command, InvalidArgumentError, Option } from 'commander';

/** A TCP port, 0 for a free one. */
export function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('It takes 0 to 65535.');
  return Number(text);
}

/** A resolution level of HTJ2K: a codestream has at most 32. */
export function parseLevel(text: string): number {
  if (!/^\d{1,2}$/.test(text) || Number(text) > 32) throw new InvalidArgumentError('It takes 0 to 32.');
  return Number(text);
}

/** Gathers the values of a repeatable flag. */
export const collect = (value: string, earlier: readonly string[]): string[] => [...earlier, value];

/** Which HealthImaging a command speaks to: a server's, with its token, or AWS's own. */
export const withImagingOptions = (command: Command): Command =>
  command
    .option('--endpoint-url <url>', 'the endpoint', 'http://127.0.0.1:8080')
    .addOption(new Option('--token <token>', 'what the store asks for (STORE_TOKEN)').env('STORE_TOKEN'))
    .option('--region <name>', "AWS's own HealthImaging in this region, with the credentials of the AWS SDK");
