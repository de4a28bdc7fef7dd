import { describe, expect, it } from 'vitest';
import { parseAsyncHeaders } from '../../../src/api/async-invocation.ts';

const parse = (headers: Record<string, string>) =>
  parseAsyncHeaders((name) => headers[name.replace('x-amzn-sagemaker-', '')]);

describe('parseAsyncHeaders', () => {
  it("has SageMaker's defaults", () => {
    expect(parse({})).toMatchObject({
      ttlSeconds: 21_600,
      timeoutSeconds: 900,
      pathExtension: [],
      inputUri: undefined,
    });
  });

  it.each([
    ['requestttlseconds', '60', '59'],
    ['requestttlseconds', '21600', '21601'],
    ['invocationtimeoutseconds', '1', '0'],
    ['invocationtimeoutseconds', '3600', '3601'],
    ['invocationtimeoutseconds', '15', '1.5'],
    ['inference-id', 'x'.repeat(64), 'x'.repeat(65)],
    ['inference-id', 'a b', ' b'],
    ['custom-attributes', 'x'.repeat(1024), 'x'.repeat(1025)],
    ['accept', '*/*', 'é'],
    ['content-type', 'text/csv', 'x'.repeat(1025)],
    ['filename', 'scan_1-a.out', '.out'],
    ['filename', 'x'.repeat(32), 'x'.repeat(33)],
    ['filename', 'a.b', 'a.b.c'],
    ['s3outputpathextension', "day/one!_.*'()-", 'day one'],
    ['s3outputpathextension', 'day', 's3:x'],
    ['s3outputpathextension', 'x'.repeat(512), 'x'.repeat(513)],
    ['s3outputpathextension', 'a/b/', 'a/../b'],
    ['s3outputpathextension', 'a..b', '..'],
    ['inputlocation', 's3://bucket/key', 'https://bucket.s3.amazonaws.com/key'],
    ['inputlocation', 'file:///folder/request.json', '/folder/request.json'],
  ])('takes %s %s but not %s', (name, good, bad) => {
    expect(() => parse({ [name]: good })).not.toThrow();
    expect(() => parse({ [name]: bad })).toThrow(new RegExp(name));
  });

  it('splits the path extension into folders', () => {
    expect(parse({ s3outputpathextension: '/day//one/' }).pathExtension).toEqual(['day', 'one']);
  });
});
