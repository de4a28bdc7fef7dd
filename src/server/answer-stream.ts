import type { Request, Response } from 'express';
import { asEndpointError } from '../errors.ts';
import { answerLine, errorLine } from './answer-line.ts';
import type { InvokeOptions, Invoker } from './invocation.ts';
import { isJsonLines, jsonLinesType } from './json-lines.ts';
import { contextOf } from './request-context.ts';

/** How the pieces of an answer travel: as they are, or wrapped. */
export interface AnswerFraming {
  /** Headers that tell of content of this type, `content-type` among them. */
  headers(contentType: string): Readonly<Record<string, string>>;
  frames(piece: Uint8Array): readonly Uint8Array[];
}

const unframed: AnswerFraming = {
  headers: (contentType) => ({ 'content-type': contentType }),
  frames: (piece) => [piece],
};

/** An answer that leaves piece by piece; its status is good from the first piece on. */
export class AnswerStream {
  readonly #response: Response;
  readonly #framing: AnswerFraming;

  constructor(response: Response, framing = unframed) {
    this.#response = response;
    this.#framing = framing;
  }

  get begun(): boolean {
    return this.#response.headersSent;
  }

  begin(contentType: string, headers: Readonly<Record<string, string>>): void {
    const all = { ...headers, ...this.#framing.headers(contentType) };
    for (const [name, value] of Object.entries(all)) this.#response.setHeader(name, value);
    this.#response.status(200).flushHeaders();
  }

  /** True when the client takes more; a piece that can wait for the next one is better left out otherwise. */
  write(piece: Uint8Array): boolean {
    return this.#framing.frames(piece).reduce((_, frame) => this.#response.write(frame), true);
  }

  /** @param last - written as it is */
  end(last?: Uint8Array): void {
    this.#response.end(last);
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
