import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { Response } from 'express';

/** One part of an answer. */
export interface AnswerPart {
  readonly contentType: string;
  readonly location?: string | undefined;
  readonly bytes: Uint8Array;
}

/**
 * Sends a `multipart/related` answer (PS3.18 §8.6.1), part by part: the next one is made when the one before has left.
 * The first part is made before the headers go, so that what fails at once is an error and no cut answer.
 */
export async function sendMultipart(response: Response, type: string, parts: AsyncIterable<AnswerPart>): Promise<void> {
  const boundary = randomUUID();
  const iterator = parts[Symbol.asyncIterator]();
  let next = await iterator.next();
  response.writeHead(200, { 'Content-Type': `multipart/related; type="${type}"; boundary=${boundary}` });
  // A client that leaves makes no room any more.
  const closed = once(response, 'close').catch(() => undefined);
  const write = async (chunk: string | Uint8Array): Promise<void> => {
    if (response.write(chunk) || response.destroyed) return;
    await Promise.race([once(response, 'drain'), closed]);
  };
  while (!next.done && !response.destroyed) {
    const { contentType, location, bytes } = next.value;
    const head = [`--${boundary}`, `Content-Type: ${contentType}`, `Content-Length: ${bytes.length}`];
    if (location !== undefined) head.push(`Content-Location: ${location}`);
    await write(`${head.join('\r\n')}\r\n\r\n`);
    await write(bytes);
    await write('\r\n');
    next = await iterator.next();
  }
  await iterator.return?.(undefined);
  response.end(`--${boundary}--\r\n`);
}
