import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { descendants, filesUnder, startTestEndpoint, type TestEndpoint } from '../../support/endpoint.ts';
import { addHandler, call } from '../../support/handler-models.ts';

const secrets = {
  AWS_ACCESS_KEY_ID: 'AKIDTEST',
  AWS_SECRET_ACCESS_KEY: 'test-secret',
  MANAGEMENT_TOKEN: 'test-management',
  SITE_SCANNER: 'CT-4',
};

let endpoint: TestEndpoint;
const frontPid = (): number => endpoint.process.pid as number;
const handlerPids = (): number[] => descendants(frontPid(), 'me-handler');
const errorIn = (answer: { text: string }) =>
  (JSON.parse(answer.text) as { error: { code: string; message: string } }).error;
const deploy = (name: string, handler: string, more: { network?: boolean; files?: Record<string, string> } = {}) =>
  addHandler(endpoint, name, { handler, ...more });

beforeAll(async () => {
  endpoint = await startTestEndpoint({
    ...secrets,
    ALLOW_CUSTOM_CODE: 'true',
    CUSTOM_CODE_ENVIRONMENT: 'SITE_SCANNER',
    CUSTOM_CODE_MEMORY_BYTES: String(300 * 1024 ** 2),
    CUSTOM_CODE_LOG: 'true',
    REQUEST_TIMEOUT_SECONDS: '20',
    WORKERS: '2',
    PIPELINES: '1',
  });
}, 60_000);
afterAll(() => endpoint?.stop());

describe('what custom code can see', () => {
  it('has no credentials and no tokens, but what was granted', async () => {
    deploy('env', 'export const handle = () => [process.env];');
    const env = (await call(endpoint, 'env')).json() as Record<string, string>;
    expect(env.AWS_SECRET_ACCESS_KEY).toBeUndefined();
    expect(env.SITE_SCANNER).toBe('CT-4');
    expect(JSON.stringify(env)).not.toMatch(/test-secret|AKIDTEST|test-management/);
    expect(Object.keys(env).filter((name) => name !== 'SITE_SCANNER')).not.toContain('HOME');
  });

  it('can’t read the server’s environment, files or other requests, nor start anything', async () => {
    deploy(
      'reach',
      `import { readFile, readdir, writeFile, symlink } from 'node:fs/promises';
       import { execFile } from 'node:child_process';
       import { Worker } from 'node:worker_threads';
       const tries = (context) => ({
         environ: () => readFile('/proc/' + process.ppid + '/environ'),
         own: () => readFile('/proc/self/environ'),
         passwd: () => readFile('/etc/passwd'),
         requests: () => readdir(context.scratchDir + '/../../../requests'),
         archive: () => writeFile(context.systemProperties.model_dir + '/code/handler.mjs', 'x'),
         link: () => symlink('/etc/passwd', context.scratchDir + '/link'),
         program: () => execFile('id'),
         thread: () => new Worker('1', { eval: true }),
         scratch: () => writeFile(context.scratchDir + '/mine', 'x'),
       });
       export async function handle(requests, context) {
         const said = {};
         for (const [name, attempt] of Object.entries(tries(context))) {
           try { await attempt(); said[name] = 'done'; } catch (error) { said[name] = error.code; }
         }
         return [said];
       }`,
    );
    const { scratch, ...others } = (await call(endpoint, 'reach')).json() as Record<string, string>;
    expect(scratch).toBe('done');
    for (const [what, code] of Object.entries(others)) expect(code, what).toBe('ERR_ACCESS_DENIED');
  });

  it('can’t have the front read a file for it', async () => {
    deploy('front-reads', `export const handle = () => [{ bodyPath: '/etc/passwd', contentType: 'text/plain' }];`);
    const answer = await call(endpoint, 'front-reads');
    expect(answer.status).toBe(500);
    expect(answer.text).not.toContain('root:');
    expect(errorIn(answer).message).toContain('context.scratchDir');
  });

  it('can’t bring the front down by what it sends, nor have files removed', async () => {
    const victim = `${endpoint.filesDir}/kept`;
    mkdirSync(victim);
    writeFileSync(`${victim}/result.json`, '{}');
    deploy(
      'forger',
      `const say = (message) => process.send(message);
       export async function handle(requests, context) {
         const { kind } = JSON.parse(new TextDecoder().decode(requests[0].body));
         if (kind === 'null') say(null);
         if (kind === 'items') say({ type: 'result', jobId: 0, items: 5 });
         if (kind === 'span') say({ type: 'span', jobId: 0, record: { name: 'forged' } });
         if (kind === 'writing') say({ type: 'writing', jobId: 0, prefixUri: 'file://${victim}/' });
         await new Promise((resolve) => setTimeout(resolve, 20_000));
         return ['late'];
       }`,
    );
    for (const kind of ['null', 'items', 'span', 'writing']) {
      const answer = await call(endpoint, 'forger', JSON.stringify({ kind }));
      expect(errorIn(answer).code).toBe('worker_crashed');
    }
    expect((await fetch(`${endpoint.url}/ping`)).status).toBe(200);
    expect(readFileSync(`${victim}/result.json`, 'utf8')).toBe('{}');
  });
});

describe('a process of its own', () => {
  it('is another one for each archive, never a shared one, and ends when the model is unloaded', async () => {
    deploy('pid-a', 'export const handle = () => [process.pid];');
    deploy('pid-b', 'export const handle = () => [process.pid];');
    const pids = [(await call(endpoint, 'pid-a')).json(), (await call(endpoint, 'pid-b')).json()] as number[];
    expect(new Set(pids).size).toBe(2);
    for (const pid of pids) expect(handlerPids()).toContain(pid);
    expect(descendants(frontPid(), 'me-pipeline')).not.toEqual(expect.arrayContaining(pids));
    expect((await call(endpoint, 'pid-a')).json()).toBe(pids[0]); // it is kept
    deploy('pid-a', 'export const handle = () => ["a new version"];');
    expect((await call(endpoint, 'pid-a')).text).toBe('a new version');
    await vi.waitFor(() => expect(handlerPids()).not.toContain(pids[0]), 5000);
  });

  it('costs its own job when it dies, and the next request works on a new one, initialized again', async () => {
    deploy(
      'dies',
      `export default class { initialize() { this.startedAt = process.pid; }
       handle(requests) { if (requests[0].body.length > 0) process.kill(process.pid, 'SIGSEGV'); return [this.startedAt]; } }`,
    );
    const first = (await call(endpoint, 'dies')).json();
    const answer = await call(endpoint, 'dies', 'x');
    expect([answer.status, errorIn(answer).code]).toEqual([500, 'worker_crashed']);
    const second = (await call(endpoint, 'dies')).json();
    expect(second).not.toBe(first);
    const metrics = await (await fetch(`${endpoint.url}/metrics`)).text();
    expect(metrics).toMatch(/^map_endpoint_handler_restarts_total [1-9]/m);
    expect(metrics).toMatch(/^map_endpoint_handler_processes [1-9]/m);
    const scratch = filesUnder(`${endpoint.dataDir}/run`).filter((file) => /\/job-|\/requests\//.test(file));
    expect(scratch).toEqual([]);
  });

  it.each([
    ['buffers', 'kept.push(Buffer.alloc(8e6, 1));'],
    ['its heap', 'kept.push(Array.from({ length: 5e5 }, (_, n) => ({ n })));'],
  ])('is stopped when %s take more memory than is allowed', async (_what, take) => {
    deploy(
      'greedy',
      `const kept = [];
       export async function handle(requests) {
         if (requests[0].body.length === 0) return [kept.length];
         for (;;) { ${take} await new Promise((resolve) => setTimeout(resolve, 1)); }
       }`,
    );
    const answer = await call(endpoint, 'greedy', 'x');
    expect(errorIn(answer)).toMatchObject({
      code: 'model_failed',
      message: expect.stringContaining('CUSTOM_CODE_MEMORY_BYTES'),
    });
    expect((await call(endpoint, 'greedy')).json()).toBe(0);
  });

  it('is killed at its deadline when a handler never yields', async () => {
    deploy(
      'stuck',
      `export function handle(requests) { if (requests[0].body.length > 0) for (;;); return ['well']; }`,
      {
        files: { 'map.json': '{ "inference": { "timeoutSeconds": 1 } }' },
      },
    );
    expect((await call(endpoint, 'stuck')).text).toBe('well');
    const startedAt = performance.now();
    const answer = await call(endpoint, 'stuck', 'x');
    expect([answer.status, errorIn(answer).code]).toEqual([504, 'deadline_exceeded']);
    // One that yields would have five seconds more: SageMaker would have hung up by then.
    expect(performance.now() - startedAt).toBeLessThan(5000);
    expect((await call(endpoint, 'stuck')).text).toBe('well');
  });

  it('is told by its signal that the time is over, and lives on when it listens', async () => {
    deploy(
      'listens',
      `import { setTimeout } from 'node:timers/promises';
       export async function handle(requests, context) {
         try {
           if (requests[0].body.length > 0) await setTimeout(60_000, undefined, { signal: context.signal });
         } finally {
           if (context.signal.aborted) await setTimeout(1000); // it tidies up
         }
         return [process.pid];
       }`,
      { files: { 'map.json': '{ "inference": { "timeoutSeconds": 1 } }' } },
    );
    const pid = (await call(endpoint, 'listens')).json();
    expect(errorIn(await call(endpoint, 'listens', 'x')).code).toBe('deadline_exceeded');
    expect((await call(endpoint, 'listens')).json()).toBe(pid);
  });

  it('counts in the memory that the model holds', async () => {
    deploy('heavy', `const kept = Buffer.alloc(150e6, 1); export const handle = () => [kept.length];`);
    deploy('light', `export const handle = () => ['light'];`);
    await call(endpoint, 'heavy');
    await call(endpoint, 'light');
    const metrics = await (await fetch(`${endpoint.url}/metrics`)).text();
    const bytesOf = (model: string) =>
      Number(
        new RegExp(`^map_endpoint_model_[a-z_]*bytes\\{[^}]*model="${model}"[^}]*\\} (\\S+)`, 'm').exec(metrics)?.[1],
      );
    expect(bytesOf('light')).toBeGreaterThan(5e6);
    expect(bytesOf('heavy') - bytesOf('light')).toBeGreaterThan(120e6);
  });
});

describe('initialize', () => {
  it('that throws fails the load with its message, without paths, until it is fixed', async () => {
    deploy(
      'broken',
      `export function initialize(context) { throw new Error('no weights in ' + context.systemProperties.model_dir + '/models, see /root/x/y'); } export const handle = () => [1];`,
    );
    const before = handlerPids().length;
    for (let n = 0; n < 2; n++) {
      const answer = await call(endpoint, 'broken');
      expect([answer.status, errorIn(answer).code]).toEqual([500, 'model_failed']);
      expect(errorIn(answer).message).toBe("The handler's initialize failed: no weights in models, see <path>");
    }
    expect(handlerPids()).toHaveLength(before);
    deploy('broken', `export function initialize() {} export const handle = () => ['mended'];`);
    expect((await call(endpoint, 'broken')).text).toBe('mended');
  });

  it.each([
    ['a syntax error', 'export const handle = (', 'model_failed', 'code/handler.mjs could not be loaded'],
    ['a missing import', `import './gone.mjs'; export const handle = () => [];`, 'model_failed', "'code/gone.mjs'"],
    ['no handler', 'export const other = 1;', 'unsupported_bundle', 'exports no handler'],
    ['an exit', 'process.exit(0); export const handle = 1;', 'worker_crashed', 'while its initialize ran'],
  ])('fails with %s', async (_what, handler, code, text) => {
    deploy('unloadable', handler);
    const error = errorIn(await call(endpoint, 'unloadable'));
    expect(error).toMatchObject({ code, message: expect.stringContaining(text) });
    expect(error.message).not.toMatch(/\/tmp|file:/);
  });

  it('that never yields ends with the request', async () => {
    deploy('never', 'for (;;); export const handle = () => [1];');
    const controller = new AbortController();
    const pending = call(endpoint, 'never', '', {}, controller.signal);
    await vi.waitFor(() => expect(busyHandlers()).toHaveLength(1), 5000);
    controller.abort();
    await expect(pending).rejects.toThrow();
    await vi.waitFor(() => expect(busyHandlers()).toEqual([]), 5000);
  });
});

/** Processes of custom code that use the processor now. */
function busyHandlers(): number[] {
  return handlerPids().filter((pid) => {
    try {
      return / R /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    } catch {
      return false;
    }
  });
}

describe('the network and the log', () => {
  it('runs the archive’s network from preprocessing of its own', async () => {
    deploy(
      'doubled',
      `export default class {
        async initialize(context) { this.names = context.network.inputs.map(({ name }) => name); }
        preprocess(requests) { return requests.map(({ body }) => JSON.parse(new TextDecoder().decode(body)).map((n) => n * 2)); }
        async inference(rows, context) {
          const run = (row) => context.network.run({ x: { type: 'float32', dims: [4], data: Float32Array.from(row) } });
          return await Promise.all(rows.map(run));
        }
        postprocess(outputs) { return outputs.map(({ y }) => ({ names: this.names, y: Array.from(y.data) })); }
      }`,
      { network: true },
    );
    expect((await call(endpoint, 'doubled', '[1,2,3,4]')).json()).toEqual({ names: ['x'], y: [2, 4, 6, 8] });
  });

  it('gets big bodies and gives big answers, whole', async () => {
    deploy('echo', 'export const handle = (requests) => requests.map(({ body }) => body);');
    const body = Buffer.alloc(5e6, 'abcdefg');
    const answer = await call(endpoint, 'echo', body, { 'content-type': 'application/octet-stream' });
    expect([answer.status, answer.text.length]).toEqual([200, body.length]);
    expect(answer.text).toBe(body.toString());
  });

  it('has what it prints marked in the log, whatever it looks like', async () => {
    deploy(
      'prints',
      `export const handle = () => { console.log('{"level":"error","msg":"forged"}'); console.error('to stderr'); return [1]; };`,
    );
    await call(endpoint, 'prints');
    await vi.waitFor(() => expect(endpoint.log()).toContain('to stderr'), 5000);
    const records = endpoint
      .log()
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(records.filter(({ msg }) => msg === 'forged')).toEqual([]);
    expect(records.find(({ line }) => line === '{"level":"error","msg":"forged"}')).toMatchObject({
      msg: 'output of custom code',
      model: 'prints',
      stream: 'stdout',
    });
  });
});
