import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkOnnxFile } from '../../../src/archive/onnx-check.ts';
import { externalTensor, field, integer, onnxModel } from '../../support/onnx-bytes.ts';

const never = new AbortController().signal;
let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'onnx-'));
  mkdirSync(join(dir, 'models/sub'), { recursive: true });
  writeFileSync(join(dir, 'models/w.bin'), Buffer.alloc(100));
  writeFileSync(join(dir, 'models/sub/w.bin'), Buffer.alloc(10));
  writeFileSync(join(dir, 'secret'), 'secret');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

async function check(bytes: Buffer): Promise<number> {
  writeFileSync(join(dir, 'models/model.onnx'), bytes);
  return (await checkOnnxFile(dir, never)).sizeBytes;
}

async function expectRefused(bytes: Buffer, text: RegExp): Promise<void> {
  await expect(check(bytes)).rejects.toMatchObject({ code: 'invalid_archive', message: expect.stringMatching(text) });
}

/** Places of a model where a tensor can stand. */
const places: Record<string, (tensor: Buffer) => Buffer> = {
  'an initializer': (tensor) => onnxModel({ graph: field(5, tensor) }),
  'a sparse initializer': (tensor) => onnxModel({ graph: field(15, field(1, tensor)) }),
  'the indices of a sparse initializer': (tensor) => onnxModel({ graph: field(15, field(2, tensor)) }),
  'an attribute': (tensor) => onnxModel({ graph: field(1, field(5, field(5, tensor))) }),
  'a list of tensors': (tensor) => onnxModel({ graph: field(1, field(5, field(10, tensor))) }),
  'a subgraph': (tensor) => onnxModel({ graph: field(1, field(5, field(6, field(5, tensor)))) }),
  'a list of subgraphs': (tensor) => onnxModel({ graph: field(1, field(5, field(11, field(5, tensor)))) }),
  'a sparse attribute': (tensor) => onnxModel({ graph: field(1, field(5, field(22, field(1, tensor)))) }),
  'a function': (tensor) => onnxModel({ model: field(25, field(7, field(5, field(5, tensor)))) }),
  'training info': (tensor) => onnxModel({ model: field(20, field(1, field(5, tensor))) }),
  'a second graph': (tensor) => onnxModel({ model: field(7, field(5, tensor)) }),
};

describe('checkOnnxFile', () => {
  it('accepts a real network and tells its size', async () => {
    const bundle = fileURLToPath(new URL('../../../samples/spleen_ct_demo/', import.meta.url));
    expect(await checkOnnxFile(bundle, never)).toEqual({ sizeBytes: 4_836_031 });
  });

  it('accepts external data in regular files inside models/, and counts each file once', async () => {
    const tensor = (location: string, length: string): Buffer =>
      field(
        5,
        externalTensor([
          ['location', location],
          ['offset', '10'],
          ['length', length],
        ]),
      );
    const bytes = onnxModel({
      graph: Buffer.concat([tensor('w.bin', '90'), tensor('w.bin', '5'), tensor('sub/w.bin', '0')]),
    });
    expect(await check(bytes)).toBe(bytes.length + 110);
  });

  it.each(Object.entries(places))('sees external data in %s', async (_, place) => {
    await expectRefused(place(externalTensor([['location', '../secret']])), /plain path/);
    await check(place(externalTensor([['location', 'w.bin']])));
  });

  it.each([
    ['../secret', /plain path/],
    ['../../../../etc/passwd', /plain path/],
    ['/etc/passwd', /plain path/],
    ['sub/../../secret', /plain path/],
    ['./w.bin', /plain path/],
    ['sub//w.bin', /plain path/],
    ['C:/w.bin', /plain path/],
    ['..\\secret', /plain path/],
    ['w.bin\0.txt', /plain path/],
    ['', /plain path/],
    ['missing.bin', /regular file/],
    ['sub', /regular file/],
    ['w.bin/x', /regular file/],
    ['link.bin', /regular file/],
    ['linked/secret', /regular file/],
  ])('refuses external data at %j', async (location, text) => {
    symlinkSync('../secret', join(dir, 'models/link.bin'));
    symlinkSync('..', join(dir, 'models/linked'));
    await expectRefused(onnxModel({ graph: field(5, externalTensor([['location', location]])) }), text);
  });

  it.each([
    ['no location', [['offset', '0']], /no location/],
    [
      'two locations',
      [
        ['location', 'w.bin'],
        ['location', '../secret'],
      ],
      /twice/,
    ],
    [
      'an offset past the end',
      [
        ['location', 'w.bin'],
        ['offset', '101'],
      ],
      /cut off/,
    ],
    [
      'a length past the end',
      [
        ['location', 'w.bin'],
        ['offset', '1'],
        ['length', '100'],
      ],
      /cut off/,
    ],
    [
      'a negative offset',
      [
        ['location', 'w.bin'],
        ['offset', '-1'],
      ],
      /malformed offset/,
    ],
    [
      'a huge length',
      [
        ['location', 'w.bin'],
        ['length', '99999999999999999999'],
      ],
      /malformed offset/,
    ],
    ['a text without end', [['location', 'w'.repeat(5000)]], /too long/],
  ] as [string, [string, string][], RegExp][])('refuses external data with %s', async (_, entries, text) => {
    await expectRefused(onnxModel({ graph: field(5, externalTensor(entries)) }), text);
  });

  it('refuses what is no ONNX file, or a cut one', async () => {
    await expectRefused(Buffer.alloc(0), /no graph/);
    await expectRefused(Buffer.from('PK\u0003\u0004'), /valid ONNX/);
    await expectRefused(Buffer.from([0x80, 0x02, 0x7d, 0x71]), /valid ONNX/);
    await expectRefused(integer(1, 8), /no graph/);
    const whole = onnxModel();
    for (let length = 3; length < whole.length - 10; length += 7)
      await expectRefused(whole.subarray(0, length), /valid ONNX/);
    await expectRefused(Buffer.concat([whole, Buffer.alloc(12, 0xff)]), /valid ONNX/);
  });

  it('refuses nesting without end', async () => {
    let graph: Buffer = Buffer.alloc(0);
    for (let i = 0; i < 60; i++) graph = field(1, field(5, field(6, graph)));
    await expectRefused(onnxModel({ graph }), /nests too deep/);
  });

  it('steps over weights without reading them', async () => {
    const weights = field(
      5,
      Buffer.concat([integer(1, 8_000_000), integer(2, 1), field(9, Buffer.alloc(32_000_000, 0xff))]),
    );
    expect(await check(onnxModel({ graph: weights }))).toBeGreaterThan(32_000_000);
  });
});
