import { InvalidArgumentError } from 'commander';

/** A TCP port, 0 for a free one. */
export function parsePort(text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new InvalidArgumentError('It takes 0 to 65535.');
  return Number(text);
}

/** Gathers the values of a repeatable flag. */
export const collect = (value: string, earlier: readonly string[]): string[] => [...earlier, value];
