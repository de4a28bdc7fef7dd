import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { ServiceError, validation } from '../service-error.ts';

const maxPartHeaderBytes = 8 * 1024;

/**
 * Writes the parts of a `multipart/related` body to files, one after the other and never as a whole in memory. The
 * files are flushed.
 *
 * @param pathOf - file of a part (from 0)
 * @returns the content type of each part, in lower case
 * @throws ServiceError `ValidationException` for a body that is malformed, ends early or is too large
 */
export async function writeParts(
  body: Readable,
  boundary: string,
  pathOf: (number: number) => string,
  maxBytes: number,
): Promise<string[]> {
  const delimiter = Buffer.from(`\r\n--${boundary}`);
  const types: string[] = [];
  // As if a line ended before: the first delimiter has none in front of it.
  let pending: Buffer = Buffer.from('\r\n');
  let state: 'preamble' | 'header' | 'content' | 'end' = 'preamble';
  let file: ReturnType<typeof createWriteStream> | undefined;
  let size = 0;
  const write = async (bytes: Buffer): Promise<void> => {
    if (file && bytes.length > 0 && !file.write(bytes)) await Promise.race([once(file, 'drain'), once(file, 'error')]);
    if (file?.errored) throw file.errored;
  };
  const endPart = async (): Promise<void> => {
    if (!file) return;
    const path = file.path;
    file.end();
    await finished(file);
    file = undefined;
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  };
  /** Takes what can be taken from the pending bytes; false when more are needed. */
  const step = async (): Promise<boolean> => {
    if (state === 'end') {
      pending = Buffer.alloc(0);
      return false;
    }
    if (state === 'header') {
      if (pending.length >= 2 && pending.subarray(0, 2).toString('latin1') === '--') {
        state = 'end';
        return true;
      }
      // A part may have no headers: then the line end of the delimiter is followed by an empty line.
      const at = pending.indexOf('\r\n\r\n');
      if (at < 0) {
        if (pending.length > maxPartHeaderBytes) throw malformed();
        return false;
      }
      const header = pending.subarray(0, at).toString('latin1');
      types.push((/^content-type:\s*([^;\r\n]+)/im.exec(header)?.[1] ?? '').trim().toLowerCase());
      pending = pending.subarray(at + 4);
      file = createWriteStream(pathOf(types.length - 1), { flags: 'wx', mode: 0o600 });
      file.on('error', () => undefined);
      state = 'content';
      return true;
    }
    const at = pending.indexOf(delimiter);
    if (at < 0) {
      const sure = Math.max(0, pending.length - delimiter.length + 1);
      if (state === 'content') await write(pending.subarray(0, sure));
      pending = pending.subarray(sure);
      return false;
    }
    if (state === 'content') {
      await write(pending.subarray(0, at));
      await endPart();
    }
    pending = pending.subarray(at + delimiter.length);
    state = 'header';
    return true;
  };
  try {
    // The body stays open when it is refused, so that the client can read why.
    for await (const chunk of body.iterator({ destroyOnReturn: false })) {
      size += (chunk as Buffer).length;
      if (size > maxBytes) throw new ServiceError('ValidationException', `A request has at most ${maxBytes} bytes.`);
      pending = pending.length === 0 ? (chunk as Buffer) : Buffer.concat([pending, chunk as Buffer]);
      while (await step());
    }
  } catch (error) {
    file?.destroy();
    throw error;
  }
  if ((state as string) !== 'end') {
    file?.destroy();
    throw malformed();
  }
  return types;
}

const malformed = (): ServiceError => validation('The body is no whole multipart/related message.');
