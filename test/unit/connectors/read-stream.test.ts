import { PassThrough } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { isTransientAwsError } from '../../../src/connectors/aws-errors.ts';
import { FrameMemory } from '../../../src/connectors/frame-memory.ts';
import { readStream } from '../../../src/connectors/read-stream.ts';

function attempt(controller = new AbortController()) {
  const signs = { count: 0 };
  const alive = () => {
    signs.count += 1;
  };
  return { signal: controller.signal, alive, signs };
}

function body(...chunks: string[]): PassThrough {
  const stream = new PassThrough();
  for (const chunk of chunks) stream.write(chunk);
  return stream;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString();
const read = (stream: PassThrough, lengthBytes?: number, limitBytes = 100) => {
  const memory = new FrameMemory();
  return readStream(stream, limitBytes, attempt(), { lengthBytes, memory });
};

describe('readStream', () => {
  it('joins the chunks and tells each as a sign of life', async () => {
    const seen = attempt();
    const stream = new PassThrough();
    const reading = readStream(stream, 100, seen);
    for (const chunk of ['ab', 'cd', 'e']) {
      stream.write(chunk);
      await new Promise(setImmediate);
    }
    stream.end();
    expect(text(await reading)).toBe('abcde');
    expect(seen.signs.count).toBe(3);
  });

  it.each([5, undefined])('reads into memory that threads share, the length being told as %s', async (length) => {
    const bytes = await read(body('ab', 'cde').end(), length);
    expect(text(bytes)).toBe('abcde');
    expect(bytes.buffer).toBeInstanceOf(SharedArrayBuffer);
  });

  it('uses the memory again', async () => {
    const memory = new FrameMemory();
    const first = await readStream(body('first').end(), 100, attempt(), { lengthBytes: 5, memory });
    const second = await readStream(body('2nd').end(), 100, attempt(), { lengthBytes: 3, memory });
    expect(second.buffer).toBe(first.buffer);
    expect(text(second)).toBe('2nd');
  });

  it('takes a body that is shorter than announced for a cut one, which is worth another attempt', async () => {
    const error = await read(body('abc').end(), 5).catch((thrown: unknown) => thrown);
    expect(isTransientAwsError(error)).toBe(true);
  });

  it('refuses a body that is longer than announced, or than the limit', async () => {
    await expect(read(body('abcdef').end(), 5)).rejects.toMatchObject({ code: 'upstream_failed' });
    await expect(read(body('abcdef').end(), 6, 5)).rejects.toMatchObject({ code: 'upstream_failed' });
    await expect(readStream(body('abcdef').end(), 5, attempt())).rejects.toMatchObject({ code: 'upstream_failed' });
  });

  it('takes a stream that closes before its end for a cut body', async () => {
    const stream = body('abc');
    const reading = read(stream);
    stream.destroy();
    expect(isTransientAwsError(await reading.catch((thrown: unknown) => thrown))).toBe(true);
  });

  it('destroys the stream when the attempt is over', async () => {
    const controller = new AbortController();
    const stream = body('abc');
    const reading = readStream(stream, 100, attempt(controller));
    controller.abort();
    await expect(reading).rejects.toThrow();
    expect(stream.destroyed).toBe(true);
  });
});
