import type { Readable } from 'node:stream';
import { abortError, EndpointError } from '../errors.ts';
import type { FrameMemory } from './frame-memory.ts';
import type { Attempt } from './retry.ts';

/** What is known of a body before it is read, and where it may go. */
export interface BodyMemory {
  /** The length that its headers tell; undefined where they do not. */
  readonly lengthBytes: number | undefined;
  readonly memory: FrameMemory;
}

/**
 * Reads a response body into one array. An abort of the attempt destroys the stream, and with it the socket.
 *
 * @param limitBytes - more than this is refused: nobody may fill our memory
 * @param into - memory that the body is read into, instead of a new array
 * @throws EndpointError `upstream_failed` over the limit; what the stream fails with
 */
export function readStream(
  stream: Readable,
  limitBytes: number,
  attempt: Attempt,
  into?: BodyMemory,
): Promise<Uint8Array> {
  const { signal } = attempt;
  const known = into?.lengthBytes !== undefined && into.lengthBytes <= limitBytes ? into.lengthBytes : undefined;
  const target = known === undefined ? undefined : into?.memory.take(known);
  const chunks: Uint8Array[] = [];
  let length = 0;
  return new Promise<Uint8Array>((resolve, reject) => {
    const onAbort = () => fail(abortError(signal));
    const done = () => signal.removeEventListener('abort', onAbort);
    const fail = (error: Error) => {
      done();
      stream.removeListener('data', onData);
      stream.destroy();
      reject(error);
    };
    const onData = (chunk: Uint8Array) => {
      attempt.alive();
      const at = length;
      length += chunk.length;
      if (length > limitBytes) {
        fail(new EndpointError('upstream_failed', `A service answered with more than ${limitBytes} bytes.`));
      } else if (target === undefined) {
        chunks.push(chunk);
      } else if (length > target.length) {
        fail(new EndpointError('upstream_failed', 'A service answered with more bytes than it announced.'));
      } else {
        target.set(chunk, at);
      }
    };
    if (signal.aborted) return fail(abortError(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    stream.on('error', fail);
    stream.once('close', () => {
      if (!stream.readableEnded) fail(new CutBody());
    });
    stream.once('end', () => {
      done();
      if (target !== undefined && length < target.length) return fail(new CutBody());
      resolve(target ?? joined(chunks, length, into?.memory));
    });
    stream.on('data', onData);
  });
}

/** The body ended before its end: worth another attempt. */
class CutBody extends Error {
  override readonly name = 'CutBody';
  readonly code = 'ERR_STREAM_PREMATURE_CLOSE';

  constructor() {
    super('The body of an answer was cut short.');
  }
}

function joined(chunks: readonly Uint8Array[], length: number, memory: FrameMemory | undefined): Uint8Array {
  if (memory === undefined) return chunks.length === 1 ? (chunks[0] as Uint8Array) : Buffer.concat(chunks, length);
  const all = memory.take(length);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}
