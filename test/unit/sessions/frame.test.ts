import { describe, expect, it } from 'vitest';
import type { TensorType } from '../../../src/imaging/tensor.ts';
import { encodeFrame, type Frame, FrameError, FrameReader, type Tensors } from '../../../src/sessions/frame.ts';

interface Head {
  readonly grantId: number;
}

const joined = (parts: readonly Uint8Array[]): Uint8Array => Buffer.concat(parts);

function read(bytes: Uint8Array, chunkBytes: number, recycle = false): Frame<Head>[] {
  const frames: Frame<Head>[] = [];
  const reader = new FrameReader<Head>((frame) => frames.push(frame), { recycle });
  for (let at = 0; at < bytes.length; at += chunkBytes) reader.feed(bytes.subarray(at, at + chunkBytes));
  return frames;
}

const window: Tensors = {
  image: { type: 'float32', dims: [1, 1, 2, 3], data: Float32Array.from([1, -2, 3.5, 0, Number.NaN, 1e30]) },
  index: { type: 'int64', dims: [2], data: BigInt64Array.from([-5n, 2n ** 60n]) },
  empty: { type: 'uint8', dims: [0, 4], data: new Uint8Array() },
  half: { type: 'float16', dims: [3], data: Uint16Array.from([0x3c00, 0, 0xffff]) },
};

describe('frames', () => {
  it.each([1, 7, 16, 17, 100, 100_000])('give back tensors that arrive in pieces of %i bytes', (chunkBytes) => {
    const bytes = joined(encodeFrame({ grantId: 7 }, window));
    const frames = read(Buffer.concat([bytes, bytes]), chunkBytes);
    expect(frames).toHaveLength(2);
    for (const { head, tensors } of frames) {
      expect(head).toEqual({ grantId: 7 });
      expect(tensors).toEqual(window);
    }
  });

  it('read big tensors straight into their place', () => {
    const data = Float32Array.from({ length: 100_000 }, (_, i) => i / 3);
    const bytes = joined(encodeFrame({ grantId: 1 }, { x: { type: 'float32', dims: [100_000], data } }));
    const frames: Frame<Head>[] = [];
    const reader = new FrameReader<Head>((frame) => frames.push(frame));
    let direct = 0;
    for (let at = 0; at < bytes.length; ) {
      const target = reader.target();
      const part = bytes.subarray(at, at + Math.min(target.length, 70_001));
      if (target.length > 65_536) direct += part.length;
      target.set(part);
      reader.filled(part.length);
      at += part.length;
    }
    expect(frames[0]?.tensors.x?.data).toEqual(data);
    expect(direct).toBeGreaterThan(200_000);
  });

  it('send views of shared memory as they are', () => {
    const shared = new Float32Array(new SharedArrayBuffer(64)).fill(2.5);
    const data = shared.subarray(4, 12);
    const [frame] = read(joined(encodeFrame({ grantId: 1 }, { x: { type: 'float32', dims: [8], data } })), 1000);
    expect([...(frame?.tensors.x?.data ?? [])]).toEqual(new Array(8).fill(2.5));
  });

  it('use the memory of the last frame again when told so, and only then', () => {
    const bytes = joined(encodeFrame({ grantId: 1 }, window));
    const [first, second] = read(Buffer.concat([bytes, bytes]), 1000, true);
    expect(second?.tensors.image?.data.buffer).toBe(first?.tensors.image?.data.buffer);
    const [third, fourth] = read(Buffer.concat([bytes, bytes]), 1000, false);
    expect(fourth?.tensors.image?.data.buffer).not.toBe(third?.tensors.image?.data.buffer);
  });

  it('keep names that mean something to JavaScript', () => {
    const data = Uint8Array.of(1);
    const tensors = JSON.parse('{"__proto__":0,"constructor":0}') as Record<string, unknown>;
    for (const name of Object.keys(tensors)) {
      Object.defineProperty(tensors, name, { value: { type: 'uint8', dims: [1], data }, enumerable: true });
    }
    const [frame] = read(joined(encodeFrame({ grantId: 1 }, tensors as Tensors)), 1000);
    expect(Object.keys(frame?.tensors ?? {})).toEqual(['__proto__', 'constructor']);
  });
});

describe('a frame is refused', () => {
  const header = (json: string, payloadBytes: number): Buffer => {
    const prefix = Buffer.alloc(16);
    prefix.writeUInt32LE(0x3157_454d, 0);
    prefix.writeUInt32LE(Buffer.byteLength(json), 4);
    prefix.writeDoubleLE(payloadBytes, 8);
    return Buffer.concat([prefix, Buffer.from(json)]);
  };
  const tensor = (type: string, dims: unknown): string =>
    JSON.stringify({ head: { grantId: 1 }, tensors: [{ name: 'x', type, dims }] });

  it.each([
    ['other bytes', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
    ['no JSON', header('{', 0)],
    ['no head', header('{"tensors":[]}', 0)],
    ['null', header('null', 0)],
    ['an unknown type', header(tensor('string', [1]), 1)],
    ['a type of Object', header(tensor('constructor', [1]), 1)],
    ['a negative size', header(tensor('uint8', [-1]), 1)],
    ['a broken size', header(tensor('uint8', [0.5]), 1)],
    ['no shape', header(tensor('uint8', 'x'), 1)],
    ['more than 4 GiB', header(tensor('float32', [65_536, 65_536]), 2 ** 34)],
    ['sizes that overflow', header(tensor('float32', [2 ** 40, 2 ** 40]), 2 ** 82)],
    ['another payload than its tensors', header(tensor('uint8', [4]), 5)],
    ['a payload that is no number', header(tensor('uint8', [4]), Number.NaN)],
    [
      'a name twice',
      header(
        '{"head":{},"tensors":[{"name":"x","type":"uint8","dims":[0]},{"name":"x","type":"uint8","dims":[0]}]}',
        0,
      ),
    ],
  ])('with %s', (_, bytes) => {
    expect(() => read(bytes, 5)).toThrow(FrameError);
  });

  it('with a header that never ends', () => {
    const prefix = Buffer.alloc(16);
    prefix.writeUInt32LE(0x3157_454d, 0);
    prefix.writeUInt32LE(0xffff_ffff, 4);
    expect(() => read(prefix, 16)).toThrow(FrameError);
  });

  it('when its data does not fill its shape', () => {
    const encode = (type: TensorType, dims: number[]) => () =>
      encodeFrame({}, { x: { type, dims, data: new Float32Array(4) } });
    expect(encode('float32', [5])).toThrow(FrameError);
    expect(encode('uint8', [4])).toThrow(FrameError);
  });
});
