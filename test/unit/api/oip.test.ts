import { describe, expect, it } from 'vitest';
import { looksLikeOipRequest, parseOipRequest } from '../../../src/api/oip.ts';
import { splitOipBody } from '../../../src/api/oip-body.ts';

const input = { name: 'x', datatype: 'FP32', shape: [1], data: [1] };
const refused = (message: RegExp | string) =>
  expect.objectContaining({ code: 'invalid_request', message: expect.stringMatching(message) });

describe('parseOipRequest', () => {
  it('reads what the protocol has, and lets the parameters of others be', () => {
    const parsed = parseOipRequest({
      id: '7',
      parameters: { binary_data_output: true, priority: 3 },
      inputs: [{ ...input, parameters: { binary_data_size: 4, content_type: 'np' } }],
      outputs: [{ name: 'y', parameters: { binary_data: false } }],
    });
    expect(parsed).toMatchObject({ id: '7', parameters: { binary_data_output: true } });
    expect(parsed.inputs[0]?.parameters.binary_data_size).toBe(4);
    expect(parsed.outputs?.[0]?.parameters.binary_data).toBe(false);
  });

  it.each<[string, unknown, RegExp]>([
    ['no object', [], /body/],
    ['no inputs', { inputs: [] }, /inputs/],
    ['a negative length', { inputs: [{ ...input, shape: [-1] }] }, /inputs\.0\.shape\.0: must not be negative/],
    ['half an element', { inputs: [{ ...input, shape: [1.5] }] }, /inputs\.0\.shape\.0/],
    ['a length that no tensor has', { inputs: [{ ...input, shape: [2 ** 40] }] }, /inputs\.0\.shape\.0/],
    ['too many axes', { inputs: [{ ...input, shape: Array(33).fill(1) }] }, /inputs\.0\.shape/],
    ['a size that overflows', sized(1e300), /binary_data_size/],
    ['a negative size', sized(-4), /binary_data_size/],
    ['data that is no list', { inputs: [{ ...input, data: 'AAAA' }] }, /must be a list/],
    ['a tensor twice', { inputs: [input, input] }, /"inputs" names a tensor twice/],
    ['an output twice', { inputs: [input], outputs: [{ name: 'y' }, { name: 'y' }] }, /"outputs" names/],
    ['shared memory', { inputs: [{ ...input, parameters: { shared_memory_region: 'r' } }] }, /"shared_memory_region"/],
    ['a classification', { inputs: [input], outputs: [{ name: 'y', parameters: { classification: 3 } }] }, /"class/],
    ['a sequence', { inputs: [input], parameters: { sequence_id: 1 } }, /"sequence_id"/],
  ])('refuses %s', (_what, value, message) => {
    expect(() => parseOipRequest(value)).toThrow(refused(message));
  });
});

function sized(bytes: number): unknown {
  return { inputs: [{ name: 'x', datatype: 'FP32', shape: [1], parameters: { binary_data_size: bytes } }] };
}

describe('looksLikeOipRequest', () => {
  it('tells tensors from images', () => {
    expect(looksLikeOipRequest({ inputs: [input] })).toBe(true);
    for (const other of [null, [], {}, { inputs: 1 }, { inputs: [null] }, { inputs: [{ uri: 's3://b/p/' }] }]) {
      expect(looksLikeOipRequest(other)).toBe(false);
    }
  });
});

describe('splitOipBody', () => {
  const bytes = Buffer.from('{}TENSOR');
  const sagemaker = (parameters: string) => ({
    'content-type': `application/vnd.sagemaker-triton.binary+json${parameters}`,
  });

  it('cuts where the header or the content type says', () => {
    for (const [headers, form] of [
      [{ 'inference-header-content-length': '2' }, 'v2'],
      [sagemaker(';json-header-size=2'), 'sagemaker'],
      [sagemaker('; JSON-Header-Size = 2 ;x=y'), 'sagemaker'],
    ] as const) {
      const { json, binary } = splitOipBody(bytes, headers, form);
      expect([json, binary].map((part) => Buffer.from(part).toString())).toEqual(['{}', 'TENSOR']);
    }
  });

  it('takes a body without a length as JSON alone', () => {
    expect(splitOipBody(bytes, {}, 'v2').json).toHaveLength(8);
    expect(splitOipBody(bytes, { 'content-type': 'application/json' }, 'sagemaker').binary).toHaveLength(0);
  });

  it.each(['0', '9', '-1', '1.5', '0x2', '', ' 2', '2, 2', '1e0', '99999999999999999999', 'NaN'])(
    'refuses the length "%s"',
    (length) => {
      const headers = { 'inference-header-content-length': length };
      expect(() => splitOipBody(bytes, headers, 'v2')).toThrow(refused(/1 to 8/));
    },
  );

  it.each(['', ';json-header-size=', ';json-header-size=9', ';json-header-size=2;json-header-size=3', ';size=2'])(
    'refuses the content type’s "%s"',
    (parameters) => {
      expect(() => splitOipBody(bytes, sagemaker(parameters), 'sagemaker')).toThrow(refused('json-header-size'));
    },
  );
});
