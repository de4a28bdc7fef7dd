import { readFileSync } from 'node:fs';

export interface Instruction {
  readonly name: string;
  readonly rest: string;
}

/** Instructions of docker/Dockerfile: continued lines joined, comments dropped. */
export const instructions: readonly Instruction[] = readFileSync(
  new URL('../../docker/Dockerfile', import.meta.url),
  'utf8',
)
  .split('\n')
  .filter((line) => !line.startsWith('#'))
  .join('\n')
  .replaceAll('\\\n', ' ')
  .split('\n')
  .filter((line) => line.trim() !== '')
  .map((line) => {
    const [, name = '', rest = ''] = /^(\S+)\s+(.*)$/.exec(line.trim()) ?? [];
    return { name, rest: rest.replace(/\s+/g, ' ') };
  });

/** Instructions of the stage that becomes the image. */
export const finalStage = instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM') + 1);

/** What lies in the image's folder: paths there by paths in a built checkout. */
export const imageFiles: ReadonlyMap<string, string> = new Map(
  finalStage
    .filter(({ name }) => name === 'COPY')
    .flatMap(({ rest }) => {
      const words = rest.replace(/^--from=build /, '').split(' ');
      const to = words.pop() as string;
      return words.map((word): [string, string] => {
        const from = word.replace(/^\/build\//, '');
        return [from, to.endsWith('/') ? `${to}${from}` : to];
      });
    }),
);
