import { describe, expect, it } from 'vitest';
import { isFromCustom } from '../../../src/pipeline-host/custom/custom-messages.ts';
import { customEnvironment, customFlags } from '../../../src/pipeline-host/custom/custom-spawn.ts';

describe('customEnvironment', () => {
  const environment = {
    PATH: '/bin',
    HOME: '/root',
    AWS_SECRET_ACCESS_KEY: 'secret',
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/v2/credentials/x',
    AUTH_TOKEN: 'token',
    NODE_OPTIONS: '--require x',
    SITE: 'a',
  };

  it('passes on what is harmless or granted', () => {
    const own = { MALLOC_TRIM_THRESHOLD_: '131072', PATH: '/bin' };
    expect(customEnvironment({ environment, grantedVariables: [] })).toEqual(own);
    expect(customEnvironment({ environment, grantedVariables: ['SITE', 'UNSET'] })).toEqual({ ...own, SITE: 'a' });
  });
});

it('customFlags lets the code write its scratch folder only', () => {
  const flags = customFlags(256 * 1024 ** 2, '/m', '/s');
  expect(flags.filter((flag) => flag.startsWith('--allow-fs-write'))).toEqual(['--allow-fs-write=/s/']);
  expect(flags).toEqual(expect.arrayContaining(['--allow-fs-read=/m/', '--max-old-space-size=320']));
  expect(flags.filter((flag) => /allow-(child-process|worker|addons|wasi)/.test(flag))).toEqual([]);
});

describe('isFromCustom', () => {
  it.each([
    { type: 'ready' },
    {
      type: 'result',
      jobId: 0,
      items: [{ ok: true, result: { body: new Uint8Array(1), contentType: 'a/b' }, headers: {} }],
    },
    { type: 'failed', jobId: 0, error: { code: 'model_failed', message: 'x' } },
    { type: 'bundle', id: 1, request: { headers: { accept: '*/*' } } },
  ])('takes $type', (message) => {
    expect(isFromCustom(message)).toBe(true);
  });

  it.each([
    [null],
    ['text'],
    [{ type: 'writing', jobId: 0, prefixUri: 's3://b/' }],
    [{ type: 'result', jobId: 0, items: 5 }],
    [{ type: 'result', jobId: 0, items: [{ ok: true, result: { contentType: 'a\r\nb' }, headers: {} }] }],
    [{ type: 'result', jobId: 0, items: [{ ok: true, result: { contentType: 'a/b', status: 404 }, headers: {} }] }],
    [{ type: 'result', jobId: 0, items: [{ ok: true, result: { contentType: 'a/b' }, headers: { 'x\n': 'y' } }] }],
    [{ type: 'failed', jobId: 0, error: null }],
    [{ type: 'failed', jobId: 0, error: { code: 'no_such_code', message: 'x' } }],
    [{ type: 'progress', jobId: 0, fraction: Number.NaN, phase: 'x' }],
  ])('refuses %j', (message) => {
    expect(isFromCustom(message)).toBe(false);
  });
});
