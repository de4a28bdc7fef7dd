import { once } from 'node:events';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { descendants, errorOf, startTestEndpoint, type TestEndpoint } from '../support/endpoint.ts';
import { hasShared, shared } from '../support/shared-data.ts';

interface Status {
  state: string;
  inferenceId: string;
  phase?: string;
  fraction?: number;
  result?: { measurements: { voxels: number }[] };
  error?: { code: string; message: string };
}

/** `"mode": "background"` with real volumes: work that is longer than any request may take. */
describe.skipIf(!hasShared)('a background request', () => {
  let endpoint: TestEndpoint;
  let input: string;
  let results: string;
  const settings = { PIPELINES: '1', WORKERS: '1', REQUEST_TIMEOUT_SECONDS: '5' };

  const ask = (inferenceId: string, more: object = {}, model = 'full') =>
    endpoint.invoke(`${model}.tar.gz`, {
      inputs: [{ uri: input }],
      output: { uri: results },
      inferenceId,
      mode: 'background',
      ...more,
    });
  const folderOf = (inferenceId: string, model = 'full'): string =>
    join(endpoint.filesDir, 'results', model, inferenceId);
  const statusOf = (inferenceId: string, model = 'full'): Status | undefined => {
    const path = join(folderOf(inferenceId, model), 'status.json');
    return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : undefined;
  };
  const ended = (inferenceId: string, model = 'full') =>
    vi.waitFor(
      () => {
        const status = statusOf(inferenceId, model);
        expect(['SUCCEEDED', 'FAILED']).toContain(status?.state);
        return status as Status;
      },
      { timeout: 90_000, interval: 100 },
    );
  const accepted = async (response: Response) => {
    const body = await response.json();
    expect(response.status, JSON.stringify(body)).toBe(202);
    return body;
  };

  beforeAll(async () => {
    endpoint = await startTestEndpoint(settings);
    endpoint.addModel(shared('models/spleen_ct_full'), 'full.tar.gz');
    endpoint.copyInput(shared('data/ct-abdomen-30'), 'ct');
    input = `${pathToFileURL(join(endpoint.filesDir, 'ct')).href}/`;
    results = `${pathToFileURL(join(endpoint.filesDir, 'results')).href}/`;
    // Loads the model, whatever becomes of the request.
    await endpoint.invoke('full.tar.gz', { inputs: [{ uri: `${input}none` }] });
  }, 120_000);
  afterAll(() => endpoint?.stop());

  it('is accepted at once, runs once, and is found again by the same request', async () => {
    const startedAt = performance.now();
    const first = await accepted(await ask('once'));
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    expect(first).toEqual({
      inferenceId: 'once',
      resultPrefix: `${results}full/once/`,
      status: `${results}full/once/status.json`,
    });
    const seen = new Set<string>();
    await vi.waitFor(
      () => {
        const status = statusOf('once');
        if (status) seen.add(`${status.state} ${status.phase ?? ''}`);
        expect(status).toMatchObject({ state: 'RUNNING', phase: 'inference', fraction: expect.any(Number) });
      },
      { timeout: 60_000, interval: 20 },
    );
    expect(existsSync(join(folderOf('once'), 'result.json'))).toBe(false);
    expect(await accepted(await ask('once'))).toEqual(first);
    const other = await ask('once', { output: { uri: results }, inputs: [{ uri: `${input}CT0001.dcm` }] });
    expect(await errorOf(other)).toMatchObject({ status: 409, code: 'conflict' });

    const status = await ended('once');
    expect(status).toMatchObject({ state: 'SUCCEEDED', inferenceId: 'once' });
    // ../shared/README.md: 8,812 voxels by MONAI.
    expect(Math.abs((status.result?.measurements[0]?.voxels ?? 0) - 8812)).toBeLessThanOrEqual(36);
    const written = statSync(join(folderOf('once'), 'result.json')).mtimeMs;
    const again = await ask('once');
    expect(again.status).toBe(200);
    expect(await again.json()).toEqual(status.result);
    expect(statSync(join(folderOf('once'), 'result.json')).mtimeMs, 'no second run').toBe(written);
    const late = await ask('once', { inputs: [{ uri: `${input}CT0001.dcm` }] });
    expect(await errorOf(late)).toMatchObject({ status: 409, code: 'conflict' });
  });

  it('needs an output', async () => {
    const error = await errorOf(await ask('nowhere', { output: undefined }));
    expect(error).toMatchObject({ status: 400, code: 'invalid_request' });
    expect(error.message).toContain('output');
  });

  it('is refused before it is accepted when its output may not be written', async () => {
    const elsewhere = `${pathToFileURL(endpoint.dataDir).href}/`;
    expect(await errorOf(await ask('no', { output: { uri: elsewhere } }))).toMatchObject({
      status: 403,
      code: 'forbidden',
    });
  });

  it('keeps its error, and gives it to the same request', async () => {
    const inputs = [{ uri: `${input}none/` }];
    await accepted(await ask('absent', { inputs }));
    expect(await ended('absent')).toMatchObject({ state: 'FAILED', error: { code: 'input_not_found' } });
    expect(await errorOf(await ask('absent', { inputs }))).toMatchObject({ status: 422, code: 'input_not_found' });
    expect(existsSync(join(folderOf('absent'), 'result.json'))).toBe(false);
  });

  it('is not bounded by the deadline of requests, nor by its client', async () => {
    const ids = Array.from({ length: 6 }, (_, index) => `long-${index}`);
    const startedAt = performance.now();
    for (const id of ids) await accepted(await ask(id));
    for (const id of ids) expect(await ended(id)).toMatchObject({ state: 'SUCCEEDED' });
    expect(performance.now() - startedAt, 'on one process they take longer than a request may').toBeGreaterThan(5_000);
  });

  it('tells that its process died', async () => {
    await accepted(await ask('crash'));
    await vi.waitFor(() => expect(statusOf('crash')?.phase).toBe('inference'), { timeout: 60_000, interval: 20 });
    for (const pid of descendants(endpoint.process.pid as number, 'me-pipeline')) process.kill(pid, 'SIGKILL');
    expect(await ended('crash')).toMatchObject({ state: 'FAILED', error: { code: 'worker_crashed' } });
    expect(existsSync(join(folderOf('crash'), 'result.json'))).toBe(false);
  });

  it('leaves no status that says RUNNING when the server stops, and is resumed by the same request', async () => {
    const ids = Array.from({ length: 16 }, (_, index) => `stopped-${index}`);
    for (const id of ids) await accepted(await ask(id));
    endpoint.process.kill('SIGTERM');
    await once(endpoint.process, 'exit');
    const interrupted = ids.filter((id) => {
      const status = statusOf(id);
      expect(['SUCCEEDED', 'FAILED']).toContain(status?.state);
      if (status?.state === 'FAILED') expect(status.error?.code).toBe('overloaded');
      return status?.state === 'FAILED';
    });
    expect(interrupted.length, 'the stop must come in the middle').toBeGreaterThan(0);
    for (const id of interrupted) expect(existsSync(join(folderOf(id), 'result.json'))).toBe(false);
    await endpoint.restart();
    await endpoint.invoke('full.tar.gz', { inputs: [{ uri: `${input}none` }] });
    const last = interrupted.at(-1) as string;
    const { status } = (await accepted(await ask(last))) as { status: string };
    expect(await ended(last)).toMatchObject({ state: 'SUCCEEDED' });
    expect(existsSync(fileURLToPath(status))).toBe(true);
  });
});
