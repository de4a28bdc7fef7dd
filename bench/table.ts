/** One line of a result. */
export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What to know about the figure: its spread, what it is compared with, what is lost. */
  readonly note?: string;
}

/** What one benchmark found. */
export interface BenchResult {
  readonly title: string;
  readonly rows: readonly BenchRow[];
}

/** A result as lines of Markdown. */
export function formatResult({ title, rows }: BenchResult): string {
  const lines = rows.map(({ name, value, unit, note }) => `| ${name} | ${rounded(value)} | ${unit} | ${note ?? ''} |`);
  return [`### ${title}`, '', '| what | value | unit | note |', '|---|---:|---|---|', ...lines, ''].join('\n');
}

/** Three significant digits, without exponents. */
const rounded = (value: number): string =>
  Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** A measured time as a row, with its spread in the note. */
export function timeRow(name: string, timesMs: readonly number[], note?: string): BenchRow {
  const spread = `min ${rounded(Math.min(...timesMs))}, max ${rounded(Math.max(...timesMs))}, n ${timesMs.length}`;
  return { name, value: median(timesMs), unit: 'ms', note: note === undefined ? spread : `${spread}; ${note}` };
}
