import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../../src/errors.ts';
import { CustomHandler } from '../../../../src/handlers/custom/custom-handler.ts';
import type { HandlerContext, InitializeContext } from '../../../../src/handlers/custom/handler-types.ts';
import { pickHandler } from '../../../../src/handlers/custom/load-handler.ts';

type Module = Readonly<Record<string, unknown>>;

const facts = { name: 'm', dir: '/models/m', digest: 'abc', serverVersion: '1', network: undefined };
const requestsOf = (...bodies: string[]) =>
  bodies.map((body, index) => ({ body: Buffer.from(body), headers: {}, requestId: `r${index}` }));
const text = (body: Uint8Array): string => new TextDecoder().decode(body);

/** Initializes and calls the handler of a module; each item as its text, or as its error. */
async function run(
  module: Module,
  requests: ReturnType<typeof requestsOf> = requestsOf('a', 'b'),
  signal?: AbortSignal,
) {
  const headers: unknown[] = [];
  const handler = new CustomHandler(pickHandler(module), facts);
  await handler.initialize();
  const results = await handler.handle(requests, {
    signal: signal ?? new AbortController().signal,
    deadline: 0,
    scratchDir: '/scratch',
    progress: () => undefined,
    setResponseHeader: (...header) => headers.push(header),
    runBundle: () => Promise.reject(new Error('There is no bundle.')),
  });
  const items = results.map((item) =>
    item instanceof EndpointError ? item : { ...item, body: text((item as { body: Uint8Array }).body) },
  );
  return { items, bodies: items.map((item) => (item instanceof Error ? item.code : item.body)), headers };
}

describe('the forms of a handler', () => {
  class Upper {
    prefix = '';
    initialize({ systemProperties }: InitializeContext): void {
      this.prefix = systemProperties.model_name;
    }
    async preprocess(requests: { body: Uint8Array }[]) {
      return requests.map(({ body }) => text(body));
    }
    inference(data: string[]) {
      return data.map((item) => item.toUpperCase());
    }
    async postprocess(data: string[]) {
      return data.map((item) => `${this.prefix}:${item}`);
    }
  }
  const functions = {
    initialize: () => undefined,
    handle: async (requests: { body: Uint8Array }[]) => requests.map(({ body }) => `handled ${text(body)}`),
  };
  class Both extends Upper {
    handle() {
      return ['one', 'two'];
    }
  }

  it.each<[string, Module, string[]]>([
    ['a default class with phases', { default: Upper }, ['m:A', 'm:B']],
    ['the only named class', { Upper, helper: () => 1, Other: class {} }, ['m:A', 'm:B']],
    ['an instance', { default: new Upper() }, ['m:A', 'm:B']],
    ['a class whose handle goes before its phases', { default: Both }, ['one', 'two']],
    ['functions', functions, ['handled a', 'handled b']],
    ['inference alone', { inference: (requests: unknown[]) => requests.map(() => 'x') }, ['x', 'x']],
    ['a default function', { default: functions.handle }, ['handled a', 'handled b']],
    ['a default export before all others', { default: Upper, ...functions }, ['m:A', 'm:B']],
  ])('takes %s', async (_what, module, expected) => {
    expect((await run(module)).bodies).toEqual(expected);
  });

  it.each<[string, Module, string]>([
    ['nothing', {}, 'exports no handler'],
    ['two classes', { Upper, Both }, 'several handler classes'],
    ['a class that does nothing', { default: class {} }, 'neither handle nor inference'],
    [
      'a phase that is no function',
      { default: { inference: () => [], preprocess: 5 } },
      'preprocess that is no function',
    ],
    ['both kinds of functions', { ...functions, predictFn: () => 1 }, 'both'],
    ['functions of inference.py without predictFn', { modelFn: () => 1 }, 'no predictFn'],
    ['a predictFn that is none', { predictFn: 3 }, 'no function'],
  ])('refuses %s', (_what, module, message) => {
    const error = { code: 'unsupported_bundle', message: expect.stringContaining(message) };
    expect(() => pickHandler(module)).toThrow(expect.objectContaining(error));
  });
});

describe('the functions of inference.py', () => {
  const json = (body: string, accept?: string) => [
    {
      body: Buffer.from(body),
      headers: { 'content-type': 'application/json', ...(accept ? { accept } : {}) },
      requestId: 'r',
    },
  ];

  it('are called in turn, in both spellings', async () => {
    const camel = {
      modelFn: async (dir: string) => dir.length,
      inputFn: (body: Uint8Array, type: string) => `${type} ${text(body)}`,
      predictFn: (data: string, model: number) => ({ data, model }),
      outputFn: (prediction: object, accept: string) => ({ ...prediction, accept }),
    };
    const snake = {
      model_fn: camel.modelFn,
      input_fn: camel.inputFn,
      predict_fn: camel.predictFn,
      output_fn: camel.outputFn,
    };
    for (const module of [camel, snake]) {
      const { bodies } = await run(module, json('[1]'));
      const expected = { data: 'application/json [1]', model: facts.dir.length, accept: 'application/json' };
      expect(JSON.parse(bodies[0] as string)).toEqual(expected);
    }
  });

  it('decode JSON and answer in JSON where only predictFn is there; one request fails alone', async () => {
    const predictFn = ({ n }: { n: number }) => ({ twice: n * 2 });
    const { bodies } = await run({ predictFn }, [...json('{"n":2}'), ...json('{"n":'), ...json('{"n":3}')]);
    expect(bodies).toEqual(['{"twice":4}', 'invalid_request', '{"twice":6}']);
  });

  it('answer with the type that was asked for when outputFn wrote it', async () => {
    const module = { predictFn: () => 1, outputFn: (value: number) => `v\n${value}\n` };
    expect((await run(module, json('1', 'text/csv'))).items[0]).toMatchObject({
      contentType: 'text/csv',
      body: 'v\n1\n',
    });
    expect((await run(module, json('1', '*/*'))).items[0]).toMatchObject({ contentType: 'text/plain; charset=utf-8' });
  });
});

describe('results', () => {
  const one = (result: unknown) => run({ handle: () => [result] }, requestsOf('a'));

  it.each<[string, unknown, string, string]>([
    ['text', 'é', 'é', 'text/plain; charset=utf-8'],
    ['bytes', Buffer.from('xy'), 'xy', 'application/octet-stream'],
    ['an object', { a: [1, null] }, '{"a":[1,null]}', 'application/json'],
    ['a number', 0, '0', 'application/json'],
    ['a list', [1, 2], '[1,2]', 'application/json'],
    ['null', null, 'null', 'application/json'],
    ['numbers of a typed array inside JSON', { v: Float32Array.of(1, 2) }, '{"v":[1,2]}', 'application/json'],
    ['a reply', { body: 'a,b', contentType: 'text/csv' }, 'a,b', 'text/csv'],
    ['an object that only looks like a reply', { contentType: 'x' }, '{"contentType":"x"}', 'application/json'],
  ])('take %s', async (_what, result, body, contentType) => {
    expect((await one(result)).items).toEqual([{ body, contentType }]);
  });

  it.each<[string, unknown]>([
    ['NaN', { volumeMl: Number.NaN }],
    ['an infinity', [Infinity]],
    ['a bigint', 1n],
    ['a map', { m: new Map([[1, 2]]) }],
    ['undefined', undefined],
    ['a function', () => 1],
    ['an error deep inside', { e: new Error('x') }],
    ['a status that is an error', { body: '', contentType: 'text/plain', status: 404 }],
    ['a content type with a line break', { body: '', contentType: 'text/plain\r\nx: y' }],
    ['a reply without a body', { body: 5, contentType: 'text/plain' }],
  ])('refuse %s, which would be changed or lost', async (_what, result) => {
    expect((await one(result)).bodies).toEqual(['model_failed']);
  });

  it('may be errors: that item alone fails, with a code that speaks of the request', async () => {
    const coded = (code: string) => Object.assign(new Error(`about ${code}`), { code });
    const results = [coded('invalid_request'), 'fine', coded('model_not_found'), coded('ENOENT')];
    const { items, bodies } = await run({ handle: () => results }, requestsOf('a', 'b', 'c', 'd'));
    expect(bodies).toEqual(['invalid_request', 'fine', 'model_failed', 'model_failed']);
    expect(items[0]).toMatchObject({ message: 'about invalid_request' });
  });

  it('carry what the context was told of them', async () => {
    const handle = (_: unknown, context: HandlerContext) => {
      context.setResponseContentType(1, 'text/csv');
      context.setResponseStatus(1, 201);
      context.setResponseHeader(0, 'X-Note', 'n');
      context.setResponseHeader(0, 'Content-Type', 'text/html');
      return ['a', 'b'];
    };
    const { items, headers } = await run({ handle });
    expect(items).toEqual([
      { body: 'a', contentType: 'text/html' },
      { body: 'b', contentType: 'text/csv', status: 201 },
    ]);
    expect(headers).toEqual([[0, 'x-note', 'n']]);
  });

  it.each<[string, (context: HandlerContext) => void]>([
    ['a header of the connection', (context) => context.setResponseHeader(0, 'Content-Length', '1')],
    ['a header that splits the answer', (context) => context.setResponseHeader(0, 'x', 'a\r\nb: c')],
    ['an answer that does not exist', (context) => context.setResponseContentType(7, 'text/csv')],
    ['a status of the model', (context) => context.setResponseStatus(0, 507)],
  ])('fail with %s', async (_what, set) => {
    const handle = (_: unknown, context: HandlerContext) => {
      set(context);
      return ['a', 'b'];
    };
    await expect(run({ handle })).rejects.toMatchObject({ code: 'model_failed' });
  });
});

describe('errors', () => {
  it('of initialize say so, and name no path of the machine', async () => {
    const initialize = () => {
      throw new Error(`ENOENT: no such file, open '/models/m/code/weights.json' (see /home/someone/app/x.js:1:2)`);
    };
    await expect(run({ initialize, handle: () => [] })).rejects.toMatchObject({
      code: 'model_failed',
      message: "The handler's initialize failed: ENOENT: no such file, open 'code/weights.json' (see <path>:1:2)",
    });
  });

  it('keep URLs and dates readable', async () => {
    const handle = () => {
      throw new Error('GET https://host.example/a/b gave 1/2/2024, and/or text/plain\nsecond line');
    };
    const message = 'GET https://host.example/a/b gave 1/2/2024, and/or text/plain second line';
    await expect(run({ handle })).rejects.toMatchObject({ code: 'model_failed', message });
  });

  it('of a cancelled call are the reason of its end', async () => {
    const controller = new AbortController();
    const handle = () => {
      controller.abort(new EndpointError('deadline_exceeded', 'over'));
      throw new Error('aborted somehow');
    };
    await expect(run({ handle }, requestsOf('a'), controller.signal)).rejects.toMatchObject({
      code: 'deadline_exceeded',
    });
  });
});

it('gives the context in TorchServe’s words', async () => {
  let seen: HandlerContext | undefined;
  const handle = (_: unknown, context: HandlerContext) => {
    seen = context;
    return ['a', 'b'];
  };
  await run({ handle });
  expect(seen?.system_properties).toEqual({
    model_dir: '/models/m',
    gpu_id: null,
    model_name: 'm',
    batch_size: 2,
    server_name: 'map-endpoint',
    server_version: '1',
  });
  expect(seen?.systemProperties).toBe(seen?.system_properties);
  expect(seen?.manifest).toEqual({ sha256: 'abc', model: { modelName: 'm', handler: 'code/handler.mjs' } });
});
