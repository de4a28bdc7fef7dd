import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { datatypeOf } from '../../../src/api/oip.ts';
import type { HandlerRequest } from '../../../src/handlers/contract.ts';
import { runTensors } from '../../../src/handlers/tensors/run-tensors.ts';
import { tensorCall } from '../../../src/handlers/tensors/tensor-call.ts';
import type { Network } from '../../../src/imaging/network.ts';
import { arrayOf, elementBytes, type Tensor, type TensorType } from '../../../src/imaging/tensor.ts';
import { binaryBody } from '../../support/tensor-bundles.ts';

type Dims = readonly (number | string)[];

/** A network that gives back what it gets, and remembers it. */
function identity(type: TensorType, dims: Dims): Network & { seen: Tensor | undefined } {
  return {
    inputs: [{ name: 'x', type, dims }],
    outputs: [
      { name: 'y', type, dims },
      { name: 'z', type, dims },
    ],
    concurrency: 1,
    seen: undefined,
    async run({ x }) {
      this.seen = x as Tensor;
      return { y: x as Tensor, z: x as Tensor };
    },
  };
}

async function call(network: Network, request: Partial<HandlerRequest>, maxBytes = 10_000) {
  const headers: Record<string, string> = {};
  const tensors = await tensorCall({ headers: {}, requestId: 'r', ...request });
  if (!tensors) throw new Error('it is no tensor request');
  const result = await runTensors(tensors, {
    network,
    context: { signal: new AbortController().signal, waitedMs: { queue: 0, load: 0 } },
    modelName: 'm',
    modelVersion: '1',
    maxBytes,
    setHeader: (name, value) => {
      headers[name] = value;
    },
  });
  return { ...result, headers, text: Buffer.from(result.body as Uint8Array).toString() };
}

const json = (value: unknown): Partial<HandlerRequest> => ({ body: Buffer.from(JSON.stringify(value)) });
const input = (datatype: string, shape: number[], data: unknown, more: object = {}) => ({
  inputs: [{ name: 'x', datatype, shape, data }],
  outputs: [{ name: 'y' }],
  ...more,
});
const refused = (message: string | RegExp, code = 'invalid_request') => ({
  code,
  message: expect.stringMatching(message),
});
/** Extremes of each type that has a form in JSON. */
const extremes: [TensorType, unknown[]][] = [
  ['bool', [true, false]],
  ['uint8', [0, 255]],
  ['uint16', [0, 65_535]],
  ['uint32', [0, 4_294_967_295]],
  ['uint64', [0, Number.MAX_SAFE_INTEGER]],
  ['int8', [-128, 127]],
  ['int16', [-32_768, 32_767]],
  ['int32', [-2_147_483_648, 2_147_483_647]],
  ['int64', [Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER]],
  ['float32', [-0.5, 3.4028234663852886e38]],
  ['float64', [-1e308, 1e-320]],
];

describe('tensors in JSON', () => {
  it.each(extremes)('carry %s both ways', async (type, data) => {
    const network = identity(type, [2]);
    const { text, contentType } = await call(network, json(input(datatypeOf[type], [2], data)));
    expect(contentType).toBe('application/json');
    expect(JSON.parse(text)).toEqual({
      model_name: 'm',
      model_version: '1',
      outputs: [{ name: 'y', datatype: datatypeOf[type], shape: [2], data }],
    });
    expect(network.seen?.data).toBeInstanceOf(arrayOf[type]);
  });

  it('give integers of 64 bits to their last digit', async () => {
    const network = identity('uint64', [1]);
    network.run = async () => ({ y: { type: 'uint64', dims: [1], data: BigUint64Array.of(2n ** 64n - 1n) } });
    expect((await call(network, json(input('UINT64', [1], [1])))).text).toContain('"data":[18446744073709551615]');
  });

  it('keep the sign of zero', async () => {
    const network = identity('float32', [2]);
    const text = JSON.stringify(input('FP32', [2], [0, 0])).replace('[0,0]', '[-0.0,0]');
    expect((await call(network, { body: Buffer.from(text) })).text).toContain('"data":[-0,0]');
  });

  it.each<[string, TensorType, unknown[]]>([
    ['beyond 255', 'uint8', [256]],
    ['below zero', 'uint32', [-1]],
    ['a fraction', 'int32', [1.5]],
    ['beyond what JSON keeps exact', 'int64', [2 ** 53]],
    ['beyond FP32', 'float32', [1e39]],
    ['a text', 'float64', ['1']],
    ['null', 'float32', [null]],
    ['a number', 'bool', [1]],
    ['a list', 'int8', [[1]]],
  ])('are refused for %s in place of %s', async (_what, type, data) => {
    const request = json(input(datatypeOf[type], [1], data));
    await expect(call(identity(type, [-1]), request)).rejects.toMatchObject(refused(/^Tensor "x": element 0/));
  });

  it('may be nested as the shape says, and in no other way', async () => {
    const network = identity('int32', ['N', 3]);
    const nested = [
      [1, 2, 3],
      [4, 5, 6],
    ];
    await call(network, json(input('INT32', [2, 3], nested)));
    expect(network.seen?.data).toEqual(Int32Array.of(1, 2, 3, 4, 5, 6));
    await call(network, json(input('INT32', [0, 3], [])));
    expect(network.seen?.data).toHaveLength(0);
    for (const [shape, data] of [
      [[3, 3], nested],
      [
        [2, 3],
        [
          [1, 2, 3],
          [4, 5],
        ],
      ],
      [
        [2, 3],
        [[1, 2, 3], 4],
      ],
      [
        [2, 3],
        [
          [[1], 2, 3],
          [4, 5, 6],
        ],
      ],
      [[2_000_000_000, 3], nested],
      [
        [2_000_000_000, 3],
        [1, 2, 3],
      ],
    ] as const) {
      const request = json(input('INT32', [...shape], data));
      await expect(call(network, request)).rejects.toMatchObject(refused('^Tensor "x":'));
    }
  });

  it('have no form for FP16, NaN and infinity, and say that binary has', async () => {
    await expect(call(identity('float16', [1]), json(input('FP16', [1], [1])))).rejects.toMatchObject(
      refused('binary'),
    );
    const network = identity('float32', [1]);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      network.run = async () => ({ y: { type: 'float32', dims: [1], data: Float32Array.of(value) } });
      await expect(call(network, json(input('FP32', [1], [1])))).rejects.toMatchObject(refused('"binary_data": true'));
    }
  });
});

describe('tensors in binary', () => {
  const dir = mkdtempSync(join(tmpdir(), 'tensors-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const types = Object.keys(datatypeOf) as TensorType[];
  const head = (type: TensorType, bytes: number, more: object = {}) => ({
    inputs: [{ name: 'x', datatype: datatypeOf[type], shape: [3], parameters: { binary_data_size: bytes } }],
    parameters: { binary_data_output: true },
    ...more,
  });
  const v2 = (value: object, ...tensors: Uint8Array[]): Partial<HandlerRequest> => {
    const { body, headerLength } = binaryBody(value, ...tensors);
    return { body, headers: { 'inference-header-content-length': String(headerLength) }, protocol: 'oip' };
  };

  it.each(types)('carry %s bit by bit, and out of a file too', async (type) => {
    const bytes = Uint8Array.from({ length: 3 * elementBytes[type] }, (_, index) =>
      type === 'bool' ? index % 2 : 251 - index,
    );
    const request = v2(head(type, bytes.length), bytes);
    const path = join(dir, 'body');
    writeFileSync(path, request.body as Uint8Array);
    const { body: _body, ...spooled } = request;
    for (const form of [request, { ...spooled, bodyPath: path }]) {
      const { body, headers, contentType } = await call(identity(type, [3]), form);
      expect(contentType).toBe('application/octet-stream');
      const length = Number(headers['inference-header-content-length']);
      const answer = JSON.parse(Buffer.from(body as Uint8Array).toString('utf8', 0, length));
      const described = { datatype: datatypeOf[type], shape: [3], parameters: { binary_data_size: bytes.length } };
      expect(answer.outputs).toEqual([
        { name: 'y', ...described },
        { name: 'z', ...described },
      ]);
      expect(Buffer.from(body as Uint8Array).subarray(length)).toEqual(Buffer.concat([bytes, bytes]));
    }
  });

  it('mix with JSON as each output asks', async () => {
    const outputs = [{ name: 'z', parameters: { binary_data: false } }, { name: 'y' }];
    const { body, headers } = await call(
      identity('uint8', [3]),
      v2(head('uint8', 3, { outputs, id: 'a' }), Buffer.from('abc')),
    );
    const length = Number(headers['inference-header-content-length']);
    expect(JSON.parse(Buffer.from(body as Uint8Array).toString('utf8', 0, length))).toEqual({
      model_name: 'm',
      model_version: '1',
      id: 'a',
      outputs: [
        { name: 'z', datatype: 'UINT8', shape: [3], data: [97, 98, 99] },
        { name: 'y', datatype: 'UINT8', shape: [3], parameters: { binary_data_size: 3 } },
      ],
    });
    expect(
      Buffer.from(body as Uint8Array)
        .subarray(length)
        .toString(),
    ).toBe('abc');
  });

  it('answer SageMaker in its own content type, and in JSON where no output is in binary', async () => {
    const { body, headerLength } = binaryBody(head('uint8', 3), Buffer.from('abc'));
    const type = 'application/vnd.sagemaker-triton.binary+json;json-header-size=';
    const answer = await call(identity('uint8', [3]), { body, headers: { 'content-type': `${type}${headerLength}` } });
    expect(answer.contentType).toMatch(/^application\/vnd\.sagemaker-triton\.binary\+json;json-header-size=\d+$/);
    expect(answer.headers).toEqual({});
    const plain = binaryBody(head('uint8', 3, { parameters: {} }), Buffer.from('abc'));
    const headers = { 'content-type': `${type}${plain.headerLength}` };
    expect((await call(identity('uint8', [3]), { body: plain.body, headers })).contentType).toBe('application/json');
  });

  it.each<[string, object, Uint8Array, RegExp]>([
    ['a size that its shape has not', head('int32', 8), Buffer.alloc(8), /12 bytes/],
    ['a body that ends early', head('int32', 12), Buffer.alloc(11), /ends before/],
    ['a size beyond all bodies', head('int32', Number.MAX_SAFE_INTEGER), Buffer.alloc(12), /binary_data_size/],
    ['bytes that belong to nothing', head('int32', 12), Buffer.alloc(13), /have 12 bytes; behind the JSON stand 13/],
    ['a BOOL that is neither', head('bool', 3), Buffer.from([0, 1, 2]), /0 or 1/],
    ['data in both forms', both(), Buffer.alloc(3), /both/],
    ['data in neither form', neither(), Buffer.alloc(0), /neither/],
  ])('are refused for %s', async (_what, value, tensor, message) => {
    const type = (value as { inputs: { datatype: string }[] }).inputs[0]?.datatype === 'INT32' ? 'int32' : 'bool';
    await expect(call(identity(type, [3]), v2(value, tensor))).rejects.toMatchObject(refused(message));
  });

  function both(): object {
    return { inputs: [{ name: 'x', datatype: 'BOOL', shape: [3], data: [true], parameters: { binary_data_size: 3 } }] };
  }
  function neither(): object {
    return { inputs: [{ name: 'x', datatype: 'BOOL', shape: [3] }] };
  }
});

describe('a request of tensors', () => {
  it.each<[string, object, RegExp]>([
    ['an input that the network has not', { inputs: [{ name: 'w', datatype: 'FP32', shape: [1], data: [1] }] }, /"w"/],
    ['another datatype', input('FP64', [1, 4], [1, 2, 3, 4]), /takes FP32, not FP64/],
    ['BYTES', input('BYTES', [1, 4], ['a']), /BYTES is not supported/],
    ['BF16', input('BF16', [1, 4], []), /BF16 is not supported/],
    ['another rank', input('FP32', [4], [1, 2, 3, 4]), /takes the shape \[-1, 4\], not \[4\]/],
    ['another length', input('FP32', [1, 5], [1, 2, 3, 4, 5]), /takes the shape/],
    [
      'an output that the network has not',
      input('FP32', [1, 4], [1, 2, 3, 4], { outputs: [{ name: 'w' }] }),
      /no output "w"/,
    ],
  ])('is refused for %s', async (_what, value, message) => {
    const network = identity('float32', ['N', 4]);
    await expect(call(network, json(value))).rejects.toMatchObject(refused(message));
    expect(network.seen).toBeUndefined();
  });

  it('must bring every input', async () => {
    const network = {
      ...identity('float32', [1]),
      inputs: ['x', 'w'].map((name) => ({ name, type: 'float32' as const, dims: [1] })),
    };
    await expect(call(network, json(input('FP32', [1], [1])))).rejects.toMatchObject(
      refused('The input "w" is missing'),
    );
  });

  it('gives no more than an answer may carry', async () => {
    const request = input('FP32', [4], [0.123456, 2, 3, 4]);
    for (const body of [request, { ...request, parameters: { binary_data_output: true } }]) {
      await expect(call(identity('float32', [4]), json(body), 15)).rejects.toMatchObject(
        refused('MAX_BODY_BYTES', 'payload_too_large'),
      );
    }
  });

  it('is told from an imaging request by its body', async () => {
    const imaging: HandlerRequest = {
      headers: {},
      requestId: 'r',
      body: Buffer.from('{"inputs":[{"uri":"s3://b/p/"}]}'),
    };
    expect(await tensorCall(imaging)).toBeUndefined();
    expect(await tensorCall({ ...imaging, headers: { 'content-type': 'application/zip' } })).toBeUndefined();
    await expect(tensorCall({ ...imaging, body: Buffer.from('{') })).rejects.toMatchObject(refused('not valid JSON'));
  });

  it('checks what stands before tensors in binary once, and takes another request for another', async () => {
    const head = (name: string) => JSON.stringify({ inputs: [{ name, datatype: 'UINT8', shape: [1], ...size }] });
    const size = { parameters: { binary_data_size: 1 } };
    const send = async (text: string, byte: number) =>
      await tensorCall({
        headers: { 'inference-header-content-length': String(text.length) },
        requestId: 'r',
        protocol: 'oip',
        body: Buffer.concat([Buffer.from(text), Buffer.of(byte)]),
      });
    const [first, again, other] = [await send(head('x'), 1), await send(head('x'), 2), await send(head('y'), 3)];
    expect(again?.request).toBe(first?.request);
    expect([first, again, other].map((each) => each?.binary[0])).toEqual([1, 2, 3]);
    expect(other?.request.inputs[0]?.name).toBe('y');
    const wrong = head('x').replace('"UINT8"', '8');
    for (let n = 0; n < 2; n++) await expect(send(wrong, 1)).rejects.toMatchObject({ code: 'invalid_request' });
  });
});
