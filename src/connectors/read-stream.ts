import type { Readable } from 'node:stream';
import { abortError, EndpointError } from '../errors.ts';
import type { Attempt } from './retry.ts';

/**
 * Reads a response body into one array. An abort of the attempt destroys the stream, and with it the socket.
 *
 * @param limitBytes - more than this is refused: nobody may fill our memory
 * @throws EndpointError `upstream_failed` over the limit; what the stream fails with
 */
export async function readStream(stream: Readable, limitBytes: number, attempt: Attempt): Promise<Uint8Array> {
  const onAbort = () => void stream.destroy(abortError(attempt.signal));
  attempt.signal.addEventListener('abort', onAbort, { once: true });
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of stream as AsyncIterable<Uint8Array>) {
      attempt.alive();
      length += chunk.length;
      if (length > limitBytes) {
        throw new EndpointError('upstream_failed', `A service answered with more than ${limitBytes} bytes.`);
      }
      chunks.push(chunk);
    }
  } finally {
    attempt.signal.removeEventListener('abort', onAbort);
    stream.destroy();
  }
  return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks, length);
}
