/** Where a command writes: results to standard output, everything else to standard error. */
export interface Terminal {
  /** A line of the result for people; nothing with `--json`. */
  line(text: string): void;
  /** The result for programs: one JSON document, with `--json` only. */
  json(value: unknown): void;
  /** Says what is going on: one line that is rewritten on a terminal, a plain line elsewhere. */
  progress(text: string): void;
}

interface Streams {
  readonly out: { write(text: string): unknown };
  readonly err: { write(text: string): unknown; readonly isTTY?: boolean };
}

/**
 * @param json - standard output holds JSON only
 * @param streams - for tests; default: the process's own
 */
export function createTerminal(
  json: boolean,
  streams: Streams = { out: process.stdout, err: process.stderr },
): Terminal {
  let shown = false;
  let last = '';
  const clear = (): void => {
    if (shown) streams.err.write('\r\u001b[2K');
    shown = false;
  };
  return {
    line(text) {
      clear();
      if (!json) streams.out.write(`${text}\n`);
    },
    json(value) {
      clear();
      if (json) streams.out.write(`${JSON.stringify(value)}\n`);
    },
    progress(text) {
      if (text === last) return;
      last = text;
      clear();
      if (streams.err.isTTY) {
        streams.err.write(text);
        shown = true;
      } else {
        streams.err.write(`${text}\n`);
      }
    },
  };
}

/** Rows as columns of equal width, two blanks apart; numbers to the right. The first row is the heading. */
export function formatTable(rows: readonly (readonly (string | number)[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => String(row[column] ?? '').length)));
  return rows.map((row) =>
    row
      .map((cell, column) =>
        typeof cell === 'number'
          ? String(cell).padStart(widths[column] ?? 0)
          : String(cell).padEnd(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd(),
  );
}
