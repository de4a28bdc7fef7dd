import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BackgroundPlan, BackgroundStatus } from '../../../src/api/background-status.ts';
import { abortError, EndpointError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/logger.ts';
import type { PipelineHost } from '../../../src/pipeline-host/pipeline-host.ts';
import { BackgroundJobs, isBackground } from '../../../src/server/background.ts';
import type { Call } from '../../../src/server/call.ts';
import type { EndpointMetrics } from '../../../src/server/metrics.ts';
import { noSpan } from '../../../src/tracing/span.ts';

const root = mkdtempSync(join(tmpdir(), 'background-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const plan: BackgroundPlan = { prefixUri: 's3://b/m/id/', inferenceId: 'id', fingerprint: 'f' };
const status = (more: Partial<BackgroundStatus>): BackgroundStatus => ({
  state: 'RUNNING',
  inferenceId: 'id',
  fingerprint: 'f',
  updatedAt: new Date().toISOString(),
  ...more,
});

let planned: BackgroundPlan;
let statuses: BackgroundStatus[];
let pinned: number;
let finish: ((value: Awaited<ReturnType<PipelineHost['run']>>) => void) | undefined;
let runs: number;
let refuseStatus: boolean;
let queueIsFull: boolean;
let counted: string[];
beforeEach(() => {
  [planned, statuses, pinned, runs, refuseStatus, finish] = [plan, [], 0, 0, false, undefined];
  [queueIsFull, counted] = [false, []];
});

/** A host whose jobs end when the test says so. */
const host: Pick<PipelineHost, 'run' | 'errand'> = {
  run: (_job, signal) => {
    if (queueIsFull)
      return Promise.reject(new EndpointError('overloaded', 'Full.', { details: { retryAfterSeconds: 7 } }));
    runs++;
    return new Promise((resolve, reject) => {
      finish = resolve;
      signal.addEventListener('abort', () => reject(abortError(signal)));
    });
  },
  errand: async (errand) => {
    if (errand.kind === 'plan') return planned;
    if (refuseStatus) throw new EndpointError('upstream_failed', 'Down.');
    if (errand.kind === 'status') statuses.push(errand.status);
    return undefined;
  },
};
const jobsOf = (timeoutSeconds = 60, modelTimeoutSeconds?: number): BackgroundJobs =>
  new BackgroundJobs({
    host,
    modelTimeoutSeconds: () => modelTimeoutSeconds,
    timeoutSeconds,
    scratchRoot: root,
    metrics: {
      observe: (_model: string, code: string) => void counted.push(code),
      observePhases: () => undefined,
    } as unknown as EndpointMetrics,
    logger: createLogger('front', 'silent'),
  });
const accept = async (jobs: BackgroundJobs): Promise<{ status: number | undefined; body: unknown }> => {
  const call: Call = {
    requestId: 'r',
    startedAt: performance.now(),
    deadline: Date.now() + 60_000,
    signal: new AbortController().signal,
    scratchDir: join(root, 'request'),
    span: noSpan,
    headers: {},
    body: { bytes: Buffer.from('{}') },
  };
  const { result } = await jobs.accept(call, async () => {
    pinned++;
    const model = { key: 'm', name: 'm', dir: '', digest: '', signature: { inputs: [], outputs: [] } };
    return { model, release: () => pinned-- };
  });
  return { status: result.status, body: JSON.parse(Buffer.from(result.body as Uint8Array).toString()) };
};
const succeed = (): void =>
  finish?.([
    { ok: true, result: { body: Buffer.from('{"inferenceId":"id"}'), contentType: 'application/json' }, headers: {} },
  ]);
const states = (): string[] => statuses.map(({ state }) => state);

describe('BackgroundJobs', () => {
  it('answers before the work, and tells its end', async () => {
    const jobs = jobsOf();
    const body = { inferenceId: 'id', resultPrefix: 's3://b/m/id/', status: 's3://b/m/id/status.json' };
    expect(await accept(jobs)).toEqual({ status: 202, body });
    expect(states()).toEqual(['QUEUED']);
    expect(pinned).toBe(1);
    await vi.waitFor(() => expect(finish).toBeDefined());
    succeed();
    await vi.waitFor(() => expect(pinned).toBe(0));
    expect(states()).toEqual(['QUEUED', 'SUCCEEDED']);
    expect(statuses[1]?.result).toEqual({ inferenceId: 'id' });
    expect(counted).toEqual(['ok']);
  });

  it('starts the work once for equal requests at the same time, and refuses others under its id', async () => {
    const jobs = jobsOf();
    const answers = await Promise.all([accept(jobs), accept(jobs), accept(jobs)]);
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 202]);
    planned = { ...plan, fingerprint: 'other' };
    await expect(accept(jobs)).rejects.toMatchObject({ code: 'conflict' });
    expect(runs).toBe(1);
    expect(pinned).toBe(1);
    await jobs.close(0);
  });

  it.each<[string, Partial<BackgroundPlan>, number, number]>([
    ['a stored answer: gives it', { answer: { inferenceId: 'id' } as never }, 200, 0],
    ['work of another server under way: waits for it', { status: status({}) }, 202, 0],
    ['a queue of another server: waits for it', { status: status({ state: 'QUEUED' }) }, 202, 0],
    [
      'a server that is gone: works',
      { status: status({ updatedAt: new Date(Date.now() - 61_000).toISOString() }) },
      202,
      1,
    ],
    [
      'an interruption: works',
      { status: status({ state: 'FAILED', error: { code: 'overloaded', message: '' } }) },
      202,
      1,
    ],
    ['a result that was removed: works', { status: status({ state: 'SUCCEEDED' }) }, 202, 1],
  ])('meets %s', async (_what, found, expected, ran) => {
    planned = { ...plan, ...found };
    const jobs = jobsOf();
    expect((await accept(jobs)).status).toBe(expected);
    await vi.waitFor(() => expect(runs).toBe(ran));
    await jobs.close(0);
    expect(pinned).toBe(0);
  });

  it('gives a stored error again', async () => {
    planned = {
      ...plan,
      status: status({ state: 'FAILED', error: { code: 'unprocessable_image', message: 'Uneven.' } }),
    };
    await expect(accept(jobsOf())).rejects.toMatchObject({ code: 'unprocessable_image', message: 'Uneven.' });
    expect([runs, pinned]).toEqual([0, 0]);
  });

  it('promises nothing where it cannot write', async () => {
    refuseStatus = true;
    const jobs = jobsOf();
    const [first, same] = await Promise.allSettled([accept(jobs), accept(jobs)]);
    for (const refused of [first, same]) expect(refused).toMatchObject({ reason: { code: 'upstream_failed' } });
    await vi.waitFor(() => expect(pinned).toBe(0));
    expect(runs).toBe(0);
    expect(counted).toEqual(['upstream_failed', 'upstream_failed']);
    refuseStatus = false;
    expect((await accept(jobs)).status).toBe(202);
    await jobs.close(0);
  });

  it('refuses what meets a full queue, and takes it when it comes again', async () => {
    queueIsFull = true;
    const jobs = jobsOf();
    const [first, same] = await Promise.allSettled([accept(jobs), accept(jobs)]);
    for (const refused of [first, same]) {
      expect(refused).toMatchObject({ reason: { code: 'overloaded', details: { retryAfterSeconds: 7 } } });
    }
    expect(states()).toEqual(['QUEUED', 'FAILED']);
    expect([pinned, counted]).toEqual([0, ['overloaded', 'overloaded']]);
    queueIsFull = false;
    planned = { ...plan, status: statuses.at(-1) as BackgroundStatus };
    expect((await accept(jobs)).status).toBe(202);
    await jobs.close(0);
  });

  it('fails what runs longer than the setting or the model allows', async () => {
    for (const jobs of [jobsOf(0.02), jobsOf(60, 0.02)]) {
      await accept(jobs);
      await vi.waitFor(() =>
        expect(statuses.at(-1)).toMatchObject({ state: 'FAILED', error: { code: 'deadline_exceeded' } }),
      );
      statuses = [];
    }
  });

  it('tells of what it stops when it closes', async () => {
    const jobs = jobsOf();
    await accept(jobs);
    await jobs.close(0);
    expect(statuses.at(-1)).toMatchObject({ state: 'FAILED', error: { code: 'overloaded' } });
    expect(pinned).toBe(0);
  });
});

describe('isBackground', () => {
  it.each([
    [{ 'content-type': 'application/json' }, '{"mode":"background"}', true],
    [{}, '{"mode":"background"}', true],
    [{ 'content-type': 'application/json; charset=utf-8' }, '{"mode":"background"}', true],
    [{ 'content-type': 'application/jsonlines' }, '{"mode":"background"}', false],
    [{ 'content-type': 'application/zip' }, '{"mode":"background"}', false],
    [{}, '{"inputs":[{"uri":"s3://b/\\"mode\\""}]}', false],
    [{}, '{"mode":"later"}', false],
    [{}, '{"mode":', false],
    [{}, 'null', false],
  ])('%j %s: %s', (headers, body, expected) => {
    const call = { headers: headers as Record<string, string>, body: { bytes: Buffer.from(body) } };
    expect(isBackground({ ...call, protocol: undefined })).toBe(expected);
    expect(isBackground({ ...call, protocol: 'oip' }), 'tensors have no modes').toBe(false);
  });
});
