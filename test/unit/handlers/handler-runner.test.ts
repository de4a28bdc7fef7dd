import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import type { Handler, HandlerRequest } from '../../../src/handlers/contract.ts';
import { runHandler } from '../../../src/handlers/handler-runner.ts';

let scratchDir: string;
beforeEach(async () => {
  scratchDir = await mkdtemp(join(tmpdir(), 'runner-'));
});
afterEach(() => rm(scratchDir, { recursive: true }));

const request = (requestId: string): HandlerRequest => ({ body: new Uint8Array(), headers: {}, requestId });
const handlerOf = (handle: Handler['handle']): Handler => ({ initialize: () => ({ version: '1' }), handle });
const run = (handle: Handler['handle'], ids = ['a', 'b']) =>
  runHandler(handlerOf(handle), ids.map(request), {
    systemProperties: { model_dir: '', gpu_id: null, model_name: 'm' },
    manifest: { sha256: '' },
    signal: new AbortController().signal,
    deadline: 0,
    scratchDir,
    waitedMs: { queue: 0, load: 0 },
    warnings: [],
    network: undefined,
    progress: () => undefined,
    writing: () => undefined,
  });
const text = (body: string) => ({ body: Buffer.from(body), contentType: 'text/plain' });

describe('runHandler', () => {
  it('lets one item fail alone', async () => {
    const items = await run(() => [text('fine'), new EndpointError('unprocessable_image', 'A slice is missing.')]);
    expect(items[0]).toMatchObject({ ok: true });
    expect(items[1]).toMatchObject({ ok: false, error: { code: 'unprocessable_image' } });
  });

  it.each([1, 3])('refuses %i results for two requests', async (count) => {
    await expect(run(() => Array.from({ length: count }, () => text('x')))).rejects.toMatchObject({
      code: 'model_failed',
    });
  });

  it('puts a big result into a file', async () => {
    const body = Buffer.alloc(2 * 1024 * 1024, 7);
    const [item] = await run(() => [{ body, contentType: 'application/octet-stream' }], ['a']);
    if (!item?.ok) throw new Error('The item failed.');
    expect(item.result.body).toBeUndefined();
    expect(body.equals(await readFile(item.result.bodyPath as string))).toBe(true);
  });

  it('gives headers to the answer that they were set for', async () => {
    const items = await run((_requests, context) => {
      context.setResponseHeader(1, 'X-Answer', 'second');
      return [text('a'), text('b')];
    });
    expect(items.map((item) => item.ok && item.headers)).toEqual([{}, { 'x-answer': 'second' }]);
  });
});
