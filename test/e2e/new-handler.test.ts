import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { imageFiles } from '../support/dockerfile.ts';
import { errorOf, startTestContainer, startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { addHandler, call } from '../support/handler-models.ts';
import { isRoot } from '../support/root.ts';
import { hasShared, shared } from '../support/shared-data.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const cli = join(root, 'dist/cli/map-endpoint.js');
const forms = ['class', 'module', 'inference'] as const;
let dir: string;
let endpoint: TestEndpoint;

/** The command line as a user runs it: its exit code and what it printed. */
function run(...args: string[]): { code: number | null; output: string; errors: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8' });
  return { code: status, output: stdout, errors: stderr };
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'map-endpoint-new-handler-'));
  endpoint = await startTestEndpoint({ ALLOW_CUSTOM_CODE: 'true' });
}, 60_000);
afterAll(async () => {
  await endpoint?.stop();
  rmSync(dir, { recursive: true, force: true });
});

describe('map-endpoint new-handler', () => {
  it.each(forms)('writes a %s handler that packs and serves as it is', async (form) => {
    const folder = join(dir, form);
    const written = run('new-handler', folder, '--form', form, '--json');
    expect([written.code, JSON.parse(written.output)]).toEqual([
      0,
      { dir: folder, files: ['code/handler.mjs', 'map.json'] },
    ]);
    const packed = run('pack', folder, '-o', join(endpoint.modelsDir, `${form}.tar.gz`));
    expect([packed.code, packed.output]).toEqual([0, expect.stringContaining('ALLOW_CUSTOM_CODE')]);
    const json = { 'content-type': 'application/json' };
    const answer = await call(endpoint, form, '{"values": [1, 2, 6]}', json);
    expect(answer.status, answer.text).toBe(200);
    expect(answer.headers.get('content-type')).toBe('application/json');
    expect(answer.json()).toEqual({ model: form, count: 3, mean: 3, min: 1, max: 6 });
    const refused = await call(endpoint, form, '{"values": "none"}', json);
    const message = 'The body must be {"values": [number, …]}.';
    expect([refused.status, refused.json()]).toEqual([400, { error: { code: 'invalid_request', message } }]);
  });

  it('overwrites nothing, and keeps the map.json of a bundle', () => {
    const folder = join(dir, 'bundle');
    mkdirSync(folder);
    writeFileSync(join(folder, 'map.json'), '{ "name": "mine" }');
    expect(run('new-handler', folder).code).toBe(0);
    expect(readFileSync(join(folder, 'map.json'), 'utf8')).toBe('{ "name": "mine" }');
    writeFileSync(join(folder, 'code/handler.mjs'), '// mine');
    const again = run('new-handler', folder);
    expect([again.code, again.errors]).toEqual([2, expect.stringContaining('not overwritten')]);
    expect(readFileSync(join(folder, 'code/handler.mjs'), 'utf8')).toBe('// mine');
    expect(run('new-handler', join(folder, 'map.json')).code).toBe(2);
    expect(run('new-handler', folder, '--form', 'python').code).toBe(2);
    expect(run('new-handler', '--help').output).toContain('Examples:');
  });

  it('works in the image, laid out as the Dockerfile does', () => {
    const image = join(dir, 'image');
    for (const [from, to] of imageFiles) {
      mkdirSync(dirname(join(image, to)), { recursive: true });
      if (from === 'node_modules') symlinkSync(join(root, from), join(image, to));
      else cpSync(join(root, from), join(image, to), { recursive: true });
    }
    const folder = join(dir, 'from-image');
    const [node, program] = [process.execPath, join(image, 'dist/cli/map-endpoint.js')];
    const { status, stdout, stderr } = spawnSync(node, [program, 'new-handler', folder, '--json'], {
      encoding: 'utf8',
    });
    expect([status, stderr]).toEqual([0, '']);
    expect(JSON.parse(stdout)).toEqual({ dir: folder, files: ['code/handler.mjs', 'map.json'] });
  });

  it('writes handlers that hold against the published types, which refuse what is wrong', () => {
    mkdirSync(join(dir, 'types/node_modules'), { recursive: true });
    symlinkSync(root, join(dir, 'types/node_modules/map-endpoint'));
    for (const form of forms)
      cpSync(join(root, 'samples/handlers', form, 'code/handler.mjs'), join(dir, 'types', `${form}.mjs`));
    const good = `import type { Handler, HandlerContext, HandlerRequest, InferenceFunctions } from 'map-endpoint/handler';
      export default class Mine implements Handler {
        async handle(requests: readonly HandlerRequest[], context: HandlerContext) {
          const { x } = (await context.network?.run({ x: { type: 'float32', dims: [1], data: Float32Array.of(1) } })) ?? {};
          context.setResponseHeader(0, 'x-id', context.system_properties.model_name);
          return requests.map(({ body }) => ({ bytes: body.length, dims: x?.dims }));
        }
      }
      export const functions: InferenceFunctions<number, string, boolean> = {
        modelFn: (dir) => dir.length,
        predictFn: (data, model) => data.length > model,
      };`;
    writeFileSync(join(dir, 'types/good.mts'), good);
    writeFileSync(join(dir, 'types/bad.mts'), good.replace('body.length', 'body.lenght'));
    const check = (...files: string[]) => {
      const flags = ['--noEmit', '--strict', '--allowJs', '--checkJs', '--target', 'es2022', '--module', 'nodenext'];
      const tsc = join(root, 'node_modules/typescript/bin/tsc');
      const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')];
      return spawnSync(process.execPath, [tsc, ...flags, ...types, ...files], {
        cwd: join(dir, 'types'),
        encoding: 'utf8',
      });
    };
    expect(check('good.mts', ...forms.map((form) => `${form}.mjs`)).stdout).toBe('');
    expect(check('bad.mts').stdout).toContain('lenght');
  });
});

describe('an archive with code of its own', () => {
  it('is refused where custom code is not allowed, and its code never runs', async () => {
    const strict = await startTestEndpoint();
    try {
      const mark = join(strict.filesDir, 'ran');
      addHandler(strict, 'code', {
        handler: `import { writeFileSync } from 'node:fs'; writeFileSync(${JSON.stringify(mark)}, ''); export const handle = () => [1];`,
      });
      const answer = await call(strict, 'code');
      expect(answer.status).toBe(422);
      expect(answer.json()).toMatchObject({
        error: { code: 'unsupported_bundle', message: expect.stringContaining('ALLOW_CUSTOM_CODE=true') },
      });
      expect(() => readFileSync(mark)).toThrow('ENOENT');
    } finally {
      await strict.stop();
    }
  });

  it.skipIf(!hasShared)('may hand its requests to the bundle around it', async () => {
    const bundle = join(dir, 'wrapped');
    cpSync(shared('models/spleen_ct_demo'), bundle, { recursive: true });
    endpoint.addModel(bundle, 'plain.tar.gz');
    mkdirSync(join(bundle, 'code'));
    const handler = `
      export default class {
        async handle(requests, context) {
          return await Promise.all(requests.map(async (request) => {
            const { body, contentType } = await context.runBundle(request);
            if (contentType !== 'application/json') throw new Error('unexpected ' + contentType);
            const answer = JSON.parse(new TextDecoder().decode(body));
            return { measurements: answer.measurements, segIsThere: answer.outputs.some(({ base64 }) => base64?.length > 1000) };
          }));
        }
      }`;
    writeFileSync(join(bundle, 'code/handler.mjs'), handler);
    endpoint.addModel(bundle, 'wrapped.tar.gz');
    cpSync(shared('data/ct-abdomen-30'), join(endpoint.filesDir, 'ct'), { recursive: true });
    const input = { inputs: [{ uri: `file://${join(endpoint.filesDir, 'ct')}/` }] };
    const plain = (await (await endpoint.invoke('plain.tar.gz', input)).json()) as { measurements: object[] };
    const wrapped = await endpoint.invoke('wrapped.tar.gz', input);
    expect(await wrapped.json()).toEqual({ measurements: plain.measurements, segIsThere: true });
    expect(plain.measurements.length).toBeGreaterThan(0);
    // What the bundle refuses is the handler's own error, with its code.
    const outside = await endpoint.invoke('wrapped.tar.gz', { inputs: [{ uri: 'file:///etc/' }] });
    expect(await errorOf(outside)).toMatchObject({ status: 403, code: 'forbidden' });
  });
});

const managedRoot = `/opt/ml/models/map-endpoint-handlers-${process.pid}`;

/** As SageMaker drives it. Needs the right to make /opt/ml. */
describe.skipIf(!isRoot)('custom code in a multi-model container', () => {
  afterAll(() => rmSync(managedRoot, { recursive: true, force: true }));

  it('leaves nothing registered when initialize throws, and loads once it is mended', async () => {
    const model = join(managedRoot, 'one');
    const write = (handler: string): void => {
      mkdirSync(join(model, 'code'), { recursive: true });
      writeFileSync(join(model, 'code/handler.mjs'), handler);
    };
    const env = { SAGEMAKER_MULTI_MODEL: 'true', ALLOW_CUSTOM_CODE: 'true', DATA_DIR: join(managedRoot, 'data') };
    write(
      `export const initialize = () => { throw new Error('a weight is missing'); }; export const handle = () => [1];`,
    );
    const { url, process: container } = await startTestContainer(env);
    try {
      const load = () =>
        fetch(`${url}/models`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify({ model_name: 'one', url: model }),
        });
      const message = "The handler's initialize failed: a weight is missing";
      expect(await errorOf(await load())).toEqual({ status: 500, code: 'model_failed', message });
      expect((await fetch(`${url}/models/one`)).status).toBe(404);
      write(`export const handle = () => ['mended'];`);
      expect((await load()).status).toBe(200);
      const answer = await fetch(`${url}/models/one/invoke`, { method: 'POST', body: 'x' });
      expect(await answer.text()).toBe('mended');
      expect((await fetch(`${url}/models/one`, { method: 'DELETE' })).status).toBe(200);
      expect((await fetch(`${url}/models/one/invoke`, { method: 'POST', body: 'x' })).status).toBe(404);
    } finally {
      container.kill('SIGKILL');
    }
  }, 60_000);
});
