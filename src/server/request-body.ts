import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { createGunzip, createInflate } from 'node:zlib';
import { abortError, EndpointError } from '../errors.ts';

/** A body as it was received: in memory when small, else in a file of the request's scratch folder. */
export type ReceivedBody =
  | { readonly bytes: Uint8Array; readonly path?: undefined }
  | { readonly bytes?: undefined; readonly path: string };

export interface BodyLimits {
  readonly maxBytes: number;
  readonly scratchDir: string;
  readonly signal: AbortSignal;
}

/** Bodies over this go to disk. */
const spoolAboveBytes = 1024 * 1024;
/** Bodies up to this are taken in one piece. */
const smallBytes = 64 * 1024;
/** More chunks than this is an attack on the parser's memory, not an upload (field-facts §6.10). */
const maxChunks = 65_536;

/**
 * Reads a request's body within its limits; `Content-Encoding` gzip and deflate are undone, and the limit holds for
 * what they unpack to.
 *
 * @throws EndpointError `payload_too_large`, `unsupported_media_type`, `invalid_request`, the signal's reason
 */
export async function receiveBody(request: IncomingMessage, limits: BodyLimits): Promise<ReceivedBody> {
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > limits.maxBytes) throw tooLarge(limits.maxBytes);
  if (declared > 0 && declared <= smallBytes && request.headers['content-encoding'] === undefined) {
    return { bytes: await smallBody(request, declared, limits.signal) };
  }
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  let chunks = 0;
  let file: ReturnType<typeof createWriteStream> | undefined;
  const path = join(limits.scratchDir, 'body');
  try {
    for await (const chunk of decodedBody(request, limits.signal)) {
      sizeBytes += chunk.length;
      if (sizeBytes > limits.maxBytes) throw tooLarge(limits.maxBytes);
      if (++chunks > maxChunks)
        throw new EndpointError('invalid_request', `The body has more than ${maxChunks} chunks.`);
      if (file) {
        if (!file.write(chunk)) await once(file, 'drain');
        continue;
      }
      parts.push(chunk);
      if (sizeBytes > spoolAboveBytes) {
        await mkdir(limits.scratchDir, { recursive: true, mode: 0o700 });
        file = createWriteStream(path, { flags: 'wx', mode: 0o600 });
        for (const part of parts.splice(0)) file.write(part);
      }
    }
    if (!file) return { bytes: parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts) };
    file.end();
    await finished(file);
    return { path };
  } catch (thrown) {
    file?.destroy();
    if (limits.signal.aborted) throw abortError(limits.signal);
    throw bodyError(thrown);
  }
}

/**
 * A body that comes in one or two chunks, whose length the parser of HTTP holds it to. An iterator over it costs the
 * front more than the rest of such a request's way through it.
 */
function smallBody(request: IncomingMessage, declared: number, signal: AbortSignal): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const bytes = Buffer.allocUnsafe(declared);
    let filled = 0;
    const stop = (): void => {
      request.destroy();
      settle(() => reject(abortError(signal)));
    };
    const settle = (how: () => void): void => {
      signal.removeEventListener('abort', stop);
      request.off('data', take).off('end', end).off('error', fail).off('close', cut);
      how();
    };
    const take = (chunk: Buffer): void => {
      filled += chunk.copy(bytes, filled);
    };
    const end = (): void => settle(() => (filled === declared ? resolve(bytes) : reject(bodyEnded())));
    const fail = (thrown: Error): void => settle(() => reject(signal.aborted ? abortError(signal) : bodyError(thrown)));
    const cut = (): void => settle(() => reject(signal.aborted ? abortError(signal) : bodyEnded()));
    if (signal.aborted || request.destroyed) {
      stop();
      return;
    }
    signal.addEventListener('abort', stop, { once: true });
    request.on('data', take).once('end', end).once('error', fail).once('close', cut);
  });
}

async function* decodedBody(request: IncomingMessage, signal: AbortSignal): AsyncGenerator<Buffer> {
  const encoding = request.headers['content-encoding']?.toLowerCase() ?? 'identity';
  const stop = (): void => {
    request.destroy();
  };
  signal.addEventListener('abort', stop, { once: true });
  try {
    // A refused body must not take the connection with it: the client is still to read why.
    if (encoding === 'identity') yield* request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
    else if (encoding === 'gzip') yield* request.pipe(createGunzip()) as AsyncIterable<Buffer>;
    else if (encoding === 'deflate') yield* request.pipe(createInflate()) as AsyncIterable<Buffer>;
    else throw new EndpointError('unsupported_media_type', 'Content-Encoding must be identity, gzip or deflate.');
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function tooLarge(maxBytes: number): EndpointError {
  const message = `The body exceeds ${maxBytes} bytes (MAX_BODY_BYTES). Put the images into HealthImaging or S3 and name them in "inputs".`;
  return new EndpointError('payload_too_large', message);
}

function bodyError(thrown: unknown): unknown {
  if (thrown instanceof EndpointError) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  if (code === 'ENOSPC') return new EndpointError('internal', 'The disk of the server is full.', { cause: thrown });
  if (code.startsWith('Z_'))
    return new EndpointError('invalid_request', 'The compressed body is damaged.', { cause: thrown });
  if (code === 'ECONNRESET' || code === 'ERR_STREAM_PREMATURE_CLOSE') {
    return bodyEnded(thrown);
  }
  return thrown;
}

const bodyEnded = (cause?: unknown): EndpointError =>
  new EndpointError('invalid_request', 'The body ended before its end.', { cause });
