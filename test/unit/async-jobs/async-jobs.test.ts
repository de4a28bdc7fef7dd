import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { AsyncJob } from '../../../src/async-jobs/async-job.ts';
import { AsyncJobs, type AsyncJobsOptions, type AsyncWork } from '../../../src/async-jobs/async-jobs.ts';
import { JobFolder } from '../../../src/async-jobs/job-folder.ts';
import type { AsyncNotification } from '../../../src/async-jobs/notification.ts';
import { abortError, EndpointError } from '../../../src/errors.ts';
import { createLogger } from '../../../src/logger.ts';

let root: string;
let outputs: Map<string, string>;
let told: AsyncNotification[];
let runs: string[];
const opened: AsyncJobs[] = [];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'async-jobs-'));
  [outputs, told, runs] = [new Map(), [], []];
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((jobs) => jobs.close(0)));
  rmSync(root, { recursive: true, force: true });
});

const job = (jobId: string, more: Partial<AsyncJob> = {}): AsyncJob => ({
  jobId,
  inferenceId: `id-${jobId}`,
  endpointName: 'e',
  receivedAtMs: Date.now(),
  ttlSeconds: 60,
  timeoutSeconds: 60,
  headers: { 'content-type': 'application/json' },
  outputUri: `file:///out/${jobId}.out`,
  failureUri: `file:///out/${jobId}-error.out`,
  ...more,
});
const stored = (): string[] => readdirSync(join(root, 'jobs'));
/** Answers with the body in upper case. */
const upperCase: AsyncWork = {
  async invoke({ jobId }, bodyPath) {
    runs.push(jobId);
    const text = readFileSync(bodyPath as string, 'utf8').toUpperCase();
    return { contentType: 'text/plain', content: { bytes: Buffer.from(text) }, release: async () => undefined };
  },
  deliver: async (uri, path) => void outputs.set(uri, readFileSync(path, 'utf8')),
};
const untilAborted: AsyncWork['invoke'] = ({ jobId }, _path, signal) => {
  runs.push(jobId);
  return new Promise((_, reject) => signal.addEventListener('abort', () => reject(abortError(signal))));
};

async function open(work: Partial<AsyncWork> = {}, options: Partial<AsyncJobsOptions> = {}): Promise<AsyncJobs> {
  const jobs = await AsyncJobs.start({
    folder: await JobFolder.open(join(root, 'jobs')),
    work: { ...upperCase, ...work },
    notifier: { notify: async (_id, message) => void told.push(message) },
    concurrency: 1,
    maxBacklog: 3,
    region: 'local',
    logger: createLogger('front', 'silent'),
    deliveryWaitsMs: [1, 1],
    noRoomWaitMs: 1,
    ...options,
  });
  opened.push(jobs);
  return jobs;
}
const submit = (jobs: AsyncJobs, asked: AsyncJob): Promise<void> => jobs.submit(asked, Buffer.from('text'));
const forgotten = (): Promise<void> => vi.waitFor(() => expect(stored()).toEqual([]));

describe('AsyncJobs', () => {
  it('delivers the answer, tells of it, forgets the job', async () => {
    await submit(await open(), job('a'));
    await forgotten();
    expect([...outputs]).toEqual([['file:///out/a.out', 'TEXT']]);
    expect(told).toMatchObject([{ invocationStatus: 'Completed', inferenceId: 'id-a' }]);
  });

  it('has kept the job, its body and all, when it acknowledges it', async () => {
    const jobs = await open({ invoke: untilAborted });
    await submit(jobs, job('a'));
    expect(JSON.parse(readFileSync(join(root, 'jobs', 'a', 'job.json'), 'utf8'))).toEqual(
      job('a', { receivedAtMs: expect.any(Number) as never }),
    );
    expect(readFileSync(join(root, 'jobs', 'a', 'body'), 'utf8')).toBe('text');
  });

  it('delivers an error to the place of errors', async () => {
    const failing: AsyncWork['invoke'] = async () => {
      throw new EndpointError('unprocessable_image', 'Uneven.');
    };
    await submit(await open({ invoke: failing }), job('a'));
    await forgotten();
    expect([...outputs.keys()]).toEqual(['file:///out/a-error.out']);
    expect(JSON.parse(outputs.get('file:///out/a-error.out') as string)).toEqual({
      error: { code: 'unprocessable_image', message: 'Uneven.' },
    });
    expect(told).toMatchObject([{ invocationStatus: 'Failed' }]);
    expect(told[0]).not.toHaveProperty('responseParameters');
  });

  it('stops a job that is closed in its run and runs it again at the next start, with the same id', async () => {
    const jobs = await open({ invoke: untilAborted });
    await submit(jobs, job('a'));
    await submit(jobs, job('b'));
    await jobs.close(0);
    expect(stored().sort()).toEqual(['a', 'b']);
    expect(outputs.size).toBe(0);
    await open();
    await forgotten();
    expect(runs).toEqual(['a', 'a', 'b']);
    expect([...outputs.values()]).toEqual(['TEXT', 'TEXT']);
  });

  it('does not run a job again that has ended: a kill before its delivery', async () => {
    const never = new Promise<never>(() => undefined);
    const killed = await open({ deliver: () => never });
    await submit(killed, job('a'));
    await vi.waitFor(() => expect(existsSync(join(root, 'jobs', 'a', 'outcome.json'))).toBe(true));
    await open();
    await forgotten();
    expect(runs).toEqual(['a']);
    expect(outputs.get('file:///out/a.out')).toBe('TEXT');
    opened.splice(0); // the killed one never ends
  });

  it('never takes an error for an answer: a kill between the error and its outcome', async () => {
    const folder = await JobFolder.open(join(root, 'jobs'));
    await folder.add(job('a'), Buffer.from('text'));
    await folder.settle('a', { ok: true, contentType: 'text/plain' }, { bytes: Buffer.from('TEXT') });
    writeFileSync(
      folder.answerPath('a', { ok: false, error: { code: 'internal', message: '', status: 500 } }),
      '{"error":',
    );
    await open();
    await forgotten();
    expect([...outputs]).toEqual([['file:///out/a.out', 'TEXT']]);
  });

  it('drops what was half-made or half-removed at a kill', async () => {
    for (const name of ['.new-x', '.gone-y']) mkdirSync(join(root, 'jobs', name), { recursive: true });
    await open();
    expect(stored()).toEqual([]);
  });

  it('fails a job that waited longer than it may, while another one runs', async () => {
    const jobs = await open({ invoke: untilAborted });
    await submit(jobs, job('runs'));
    await submit(jobs, job('waits', { ttlSeconds: 0.05 }));
    await vi.waitFor(() => expect(outputs.has('file:///out/waits-error.out')).toBe(true));
    expect(outputs.get('file:///out/waits-error.out')).toContain('RequestTTLSeconds');
    expect(runs).toEqual(['runs']);
  });

  it('fails a job that expired while the server was down', async () => {
    const folder = await JobFolder.open(join(root, 'jobs'));
    await folder.add(job('old', { receivedAtMs: Date.now() - 61_000 }), Buffer.from('text'));
    await open({}, { concurrency: 0 });
    await forgotten();
    expect(outputs.get('file:///out/old-error.out')).toContain('deadline_exceeded');
    expect(runs).toEqual([]);
  });

  it('stops a job that runs longer than it may', async () => {
    await submit(await open({ invoke: untilAborted }), job('a', { timeoutSeconds: 0.05 }));
    await forgotten();
    expect(outputs.get('file:///out/a-error.out')).toContain('InvocationTimeoutSeconds');
  });

  it('tries a job again that met a full queue', async () => {
    let full = 3;
    const invoke: AsyncWork['invoke'] = (...given) => {
      if (full-- > 0) return Promise.reject(new EndpointError('overloaded', 'Full.'));
      return upperCase.invoke(...given);
    };
    await submit(await open({ invoke }), job('a'));
    await forgotten();
    expect(outputs.get('file:///out/a.out')).toBe('TEXT');
  });

  it('tries a job again whose model has no room beside another’s, and fails it when it has none alone', async () => {
    let otherHolds = true;
    const invoke: AsyncWork['invoke'] = async (asked, ...given) => {
      if (asked.jobId === 'other') {
        await vi.waitFor(() => expect(runs.length).toBeGreaterThan(2));
        otherHolds = false;
      } else if (asked.jobId === 'never' || otherHolds) {
        runs.push(asked.jobId);
        throw new EndpointError('insufficient_memory', 'No room.');
      }
      return await upperCase.invoke(asked, ...given);
    };
    const jobs = await open({ invoke }, { concurrency: 2 });
    await submit(jobs, job('other'));
    await submit(jobs, job('a'));
    await vi.waitFor(() => expect(outputs.get('file:///out/a.out')).toBe('TEXT'));
    await submit(jobs, job('never'));
    await vi.waitFor(() => expect(outputs.get('file:///out/never-error.out')).toContain('insufficient_memory'));
    expect(outputs.has('file:///out/a-error.out')).toBe(false);
  });

  it('tries an output again, then gives the error in its place', async () => {
    let refusals = 2;
    const deliver: AsyncWork['deliver'] = (...given) => {
      if (refusals-- > 0) return Promise.reject(new EndpointError('upstream_failed', 'Down.'));
      return upperCase.deliver(...given);
    };
    const jobs = await open({ deliver });
    await submit(jobs, job('a'));
    await forgotten();
    expect([...outputs.keys()]).toEqual(['file:///out/a.out']);
    refusals = 3;
    await submit(jobs, job('b'));
    await forgotten();
    expect(outputs.has('file:///out/b.out')).toBe(false);
    expect(outputs.get('file:///out/b-error.out')).toContain('upstream_failed');
    expect(told.map(({ invocationStatus }) => invocationStatus)).toEqual(['Completed', 'Failed']);
  });

  it('refuses a job when too many wait, and a second one for the same file', async () => {
    const jobs = await open({ invoke: untilAborted });
    await submit(jobs, job('runs'));
    await expect(submit(jobs, job('other', { outputUri: 'file:///out/runs.out' }))).rejects.toMatchObject({
      code: 'conflict',
    });
    for (const id of ['1', '2', '3']) await submit(jobs, job(id));
    await expect(submit(jobs, job('4'))).rejects.toMatchObject({ code: 'overloaded' });
    expect(jobs.waiting).toBe(3);
  });

  it('forgets a job whose notification nobody takes', async () => {
    const notifier = { notify: () => Promise.reject(new EndpointError('upstream_failed', 'Gone.')) };
    await submit(await open({}, { notifier }), job('a'));
    await forgotten();
    expect(outputs.size).toBe(1);
  });
});
