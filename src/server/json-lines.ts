import { createReadStream } from 'node:fs';
import { EndpointError } from '../errors.ts';
import type { ReceivedBody } from './request-body.ts';

/** The type of our own answers. */
export const jsonLinesType = 'application/jsonlines';
const names = [jsonLinesType, 'application/x-ndjson', 'application/jsonl'];

/** True when a Content-Type, or one of the types of an Accept header, is JSON Lines. */
export function isJsonLines(header: string | undefined): boolean {
  return (header ?? '').split(',').some((type) => names.includes((type.split(';')[0] as string).trim().toLowerCase()));
}

/** The lines of a body. */
export interface Lines {
  /** Without their ends (`\n` or `\r\n`). */
  readonly lines: readonly Uint8Array[];
  /** Whether the last line is ended too. */
  readonly isTerminated: boolean;
}

const newline = 0x0a;
const carriageReturn = 0x0d;

/**
 * Cuts a body into lines. An end after the last line begins no further one; an empty line in between is a line, so that
 * the n-th answer always belongs to the n-th line.
 *
 * @throws EndpointError `invalid_request` for an empty body, `payload_too_large` for more than `maxLines`
 */
export async function readLines(body: ReceivedBody, maxLines: number): Promise<Lines> {
  const lines: Uint8Array[] = [];
  let open: Buffer[] = [];
  const close = (): void => {
    if (lines.length === maxLines) {
      const message = `The request has more than ${maxLines} lines (MAX_BATCH_LINES): send it in parts.`;
      throw new EndpointError('payload_too_large', message);
    }
    const line = open.length === 1 ? (open[0] as Buffer) : Buffer.concat(open);
    lines.push(line.at(-1) === carriageReturn ? line.subarray(0, -1) : line);
    open = [];
  };
  let isTerminated = false;
  const chunks = body.bytes === undefined ? createReadStream(body.path) : [Buffer.from(body.bytes)];
  for await (const chunk of chunks as AsyncIterable<Buffer>) {
    let from = 0;
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, from)) {
      open.push(chunk.subarray(from, at));
      close();
      from = at + 1;
    }
    if (from < chunk.length) open.push(chunk.subarray(from));
    if (chunk.length > 0) isTerminated = from === chunk.length;
  }
  if (open.length > 0) close();
  if (lines.length === 0) throw new EndpointError('invalid_request', 'The body has no line.');
  return { lines, isTerminated };
}
