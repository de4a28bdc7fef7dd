import type { Request, Response } from 'express';
import { asEndpointError } from '../errors.ts';
import { answerLine, errorLine } from './answer-line.ts';
import type { InvokeOptions, Invoker } from './invocation.ts';
import { isJsonLines, jsonLinesType } from './json-lines.ts';
import { contextOf } from './request-context.ts';

/** Where an answer goes piece by piece; its status is good from the first piece on. */
export interface AnswerStream {
  readonly begun: boolean;
  begin(contentType: string, headers: Readonly<Record<string, string>>): void;
  /** True when the client takes more; a piece that can wait for the next one is better left out otherwise. */
  write(bytes: Uint8Array): boolean;
  end(): void;
}

/** An answer in chunks of HTTP. */
export class HttpAnswerStream implements AnswerStream {
  readonly #response: Response;

  constructor(response: Response) {
    this.#response = response;
  }

  get begun(): boolean {
    return this.#response.headersSent;
  }

  begin(contentType: string, headers: Readonly<Record<string, string>>): void {
    for (const [name, value] of Object.entries(headers)) this.#response.setHeader(name, value);
    this.#response.status(200).setHeader('content-type', contentType);
    this.#response.flushHeaders();
  }

  write(bytes: Uint8Array): boolean {
    return this.#response.write(bytes);
  }

  end(): void {
    this.#response.end();
  }
}

/** True when a client asks for progress: JSON Lines for an answer that is one. */
export function wantsProgress(request: Request, accept = request.get('accept')): boolean {
  return isJsonLines(accept?.split(',')[0]) && !isJsonLines(request.get('content-type'));
}

/**
 * Answers an invocation in JSON Lines: progress, at most one line an interval, and as the last line the answer or the
 * error. What fails before the first line is thrown, and gets its own status.
 *
 * @param intervalMs - default 500
 */
export async function streamWithProgress(
  request: Request,
  stream: AnswerStream,
  invoker: Invoker,
  intervalMs = 500,
  options: InvokeOptions = {},
): Promise<void> {
  let lastAt = -Infinity;
  let flows = true;
  const onProgress = (fraction: number, phase: string): void => {
    const now = performance.now();
    if (now - lastAt < intervalMs || contextOf(request).closed) return;
    lastAt = now;
    if (!stream.begun) stream.begin(jsonLinesType, {});
    // A client that reads nothing must not make us keep line after line for it.
    if (flows) flows = stream.write(Buffer.from(`${JSON.stringify({ progress: { phase, fraction } })}\n`));
  };
  let last: Buffer;
  try {
    const headers = { ...options.headers, accept: 'application/json' };
    const answer = await invoker.invoke(request, { ...options, headers, onProgress });
    last = await answerLine(answer);
    if (!stream.begun) stream.begin(jsonLinesType, answer.headers);
  } catch (thrown) {
    if (!stream.begun) throw thrown;
    const error = asEndpointError(thrown);
    contextOf(request).errorCode = error.code;
    last = errorLine(error);
  }
  stream.write(last);
  stream.write(Buffer.from('\n'));
  stream.end();
}
