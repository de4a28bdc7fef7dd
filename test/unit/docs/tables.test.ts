import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/config.ts';
import { errorTable } from '../../../src/errors.ts';

const read = (path: string): string => readFileSync(new URL(`../../../${path}`, import.meta.url), 'utf8');

/** Rows of a page's tables whose first cell is `code`: the cells, trimmed. */
const rowsOf = (page: string): string[][] =>
  read(page)
    .split('\n')
    .filter((line) => line.startsWith('| `'))
    .map((line) =>
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    );

const bare = (cell: string | undefined): string => cell?.replaceAll('`', '') ?? '';

describe('docs/errors.md', () => {
  it('has exactly the rows of the error table', () => {
    const rows = rowsOf('docs/errors.md').map(([code, status, when]) => [bare(code), Number(status), when]);
    expect(rows).toEqual(Object.entries(errorTable).map(([code, { status, when }]) => [code, status, when]));
  });

  it('says for each what to do', () => {
    for (const [code, , , what] of rowsOf('docs/errors.md')) expect(what, code).toMatch(/\w.*\.$/);
  });
});

describe('docs/configuration.md', () => {
  const rows = rowsOf('docs/configuration.md');

  it('has exactly the variables that the program reads', () => {
    const read_ = [...read('src/config.ts').matchAll(/'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)'/g)].map((match) => match[1]);
    expect(rows.map(([name]) => bare(name)).sort()).toEqual([...new Set(read_)].sort());
  });

  it.each(
    rows.filter((row) => row[1]?.startsWith('`')).map((row) => [bare(row[0]), /^`([^`]*)`/.exec(row[1] ?? '')?.[1]]),
  )('tells the true default of %s: %s', (name, value) => {
    expect(parseConfig({ [name as string]: value }, 'serve')).toEqual(parseConfig({}, 'serve'));
    // A value that is not the default must be seen, or the check above would pass for any text.
    expect(value).not.toBe('');
  });

  it('tells the true default of the deadline under SageMaker', () => {
    expect(parseConfig({ SAGEMAKER_MULTI_MODEL: 'true' }, 'serve').requestTimeoutSeconds).toBe(55);
  });

  it('gives each variable a unit and a meaning', () => {
    for (const [name, fallback, unit, what] of rows) {
      for (const cell of [fallback, unit, what]) expect(cell, name).toMatch(/\w/);
    }
  });
});
