import type { Readable } from 'node:stream';
import type { Logger } from '../../logger.ts';

const maxLineCharacters = 2000;
const maxLinesPerSecond = 100;

/**
 * Logs what custom code prints, each line as the text of a record that says where it came from: it can't pass for a
 * record of ours. Long lines are cut, and what comes too fast is counted and dropped.
 */
export function logOutput(stream: Readable | null, name: 'stdout' | 'stderr', model: string, logger: Logger): void {
  let rest = '';
  let lines = 0;
  let second = 0;
  let dropped = 0;
  const log = (line: string): void => {
    const now = Math.floor(performance.now() / 1000);
    if (now !== second) {
      if (dropped > 0) logger.warn({ model, stream: name, dropped }, 'output of custom code dropped');
      [second, lines, dropped] = [now, 0, 0];
    }
    if (lines++ < maxLinesPerSecond) logger.info({ model, stream: name, line }, 'output of custom code');
    else dropped++;
  };
  stream?.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = (parts.pop() as string).slice(0, maxLineCharacters);
    for (const part of parts) log(part.slice(0, maxLineCharacters));
  });
  stream?.on('end', () => {
    if (rest !== '') log(rest);
  });
  stream?.on('error', () => undefined); // the process is gone; its exit is what counts
}
