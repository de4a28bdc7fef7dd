import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config.ts';

const refusal = (env: Record<string, string>): unknown => {
  try {
    parseConfig(env, 'serve');
  } catch (thrown) {
    return thrown;
  }
  return undefined;
};

describe('parseConfig', () => {
  it('listens on loopback in local mode and everywhere in the container', () => {
    expect(parseConfig({}, 'local').host).toBe('127.0.0.1');
    expect(parseConfig({}, 'serve').host).toBe('0.0.0.0');
  });

  it('leaves the 504 time to go out before the 60 s of SageMaker when it manages the models', () => {
    expect(parseConfig({ SAGEMAKER_MULTI_MODEL: 'true' }, 'serve').requestTimeoutSeconds).toBe(55);
    expect(parseConfig({}, 'serve').requestTimeoutSeconds).toBe(3500);
  });

  it('takes places of asynchronous jobs as URIs and as folders', () => {
    const config = (env: Record<string, string>) => parseConfig({ DATA_DIR: '/d', ...env }, 'local');
    expect(config({}).asyncOutputUri).toBe('file:///d/async-output/');
    expect(config({ ASYNC_OUTPUT_URI: 's3://bucket/out' })).toMatchObject({
      asyncOutputUri: 's3://bucket/out/',
      asyncFailureUri: 's3://bucket/out/',
    });
    expect(config({ ASYNC_FAILURE_URI: '/x' }).asyncFailureUri).toBe('file:///x/');
    expect(config({ ASYNC_NOTIFY_URI: '/told.jsonl' }).asyncNotifyUri).toBe('file:///told.jsonl');
    expect(config({ ASYNC_NOTIFY_URI: 'http://127.0.0.1:9/hook' }).asyncNotifyUri).toBe('http://127.0.0.1:9/hook');
    expect(config({ ASYNC_NOTIFY_URI: 'https://example.org/hook' }).asyncNotifyUri).toBe('https://example.org/hook');
  });

  it('refuses a bind port outside the safe range', () => {
    const env = { SAGEMAKER_BIND_TO_PORT: '9001', SAGEMAKER_SAFE_PORT_RANGE: '8000-9000' };
    expect(refusal(env)).toMatchObject({ code: 'invalid_request', message: expect.stringContaining('9001') });
    expect(refusal({ ...env, SAGEMAKER_BIND_TO_PORT: '8123' })).toBeUndefined();
  });

  it.each([
    ['SAGEMAKER_BIND_TO_PORT', '80a'],
    ['SAGEMAKER_BIND_TO_PORT', '70000'],
    ['WORKERS', '0'],
    ['WORKERS', '1.5'],
    ['MEMORY_BUDGET_BYTES', '-1'],
    ['REQUEST_TIMEOUT_SECONDS', 'NaN'],
    ['SAGEMAKER_MULTI_MODEL', 'maybe'],
    ['SAGEMAKER_MODEL_URL', 'child'],
    ['EXECUTION_PROVIDERS', 'cpu,tpu'],
    ['LOG_LEVEL', 'loud'],
    ['SAGEMAKER_SAFE_PORT_RANGE', '8000'],
    ['ASYNC_OUTPUT_URI', 'https://bucket/prefix/'],
    ['ASYNC_OUTPUT_URI', 's3://B/prefix/'],
    ['ASYNC_FAILURE_URI', 'ftp://x'],
    ['ASYNC_NOTIFY_URI', 'http://example.org/hook'],
    ['ASYNC_NOTIFY_URI', 'sns:topic'],
  ])('names %s when it is malformed (%s), without repeating the value', (name, value) => {
    expect(refusal({ [name]: value })).toMatchObject({
      code: 'invalid_request',
      message: expect.stringContaining(name),
    });
  });

  it('takes lists, and none when unset', () => {
    const config = parseConfig({ ALLOWED_URIS: 's3://a/b/, file:///data/', EXECUTION_PROVIDERS: 'cuda,cpu' }, 'serve');
    expect(config.allowedUris).toEqual(['s3://a/b/', 'file:///data/']);
    expect(config.executionProviders).toEqual(['cuda', 'cpu']);
    expect(parseConfig({}, 'serve').allowedUris).toEqual([]);
    expect(parseConfig({}, 'serve').allowedDatastores).toBeUndefined();
  });

  it('has no tokens under SageMaker, whose edge does that', () => {
    const tokens = { AUTH_TOKEN: 'a', MANAGEMENT_TOKEN: 'b' };
    expect(parseConfig({ ...tokens, SAGEMAKER_MULTI_MODEL: 'true' }, 'serve').authToken).toBeUndefined();
    expect(parseConfig(tokens, 'serve')).toMatchObject({ authToken: 'a', managementToken: 'b' });
  });
});
