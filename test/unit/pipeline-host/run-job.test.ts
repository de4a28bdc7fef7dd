import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { abortError, EndpointError } from '../../../src/errors.ts';
import type { JobItem, PipelineJob } from '../../../src/pipeline-host/protocol.ts';
import { type JobRunner, runJob } from '../../../src/pipeline-host/run-job.ts';
import type { JobCall } from '../../../src/pipeline-host/waiting-job.ts';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'run-job-'));
});
afterEach(() => rm(root, { recursive: true }));

interface TestCall {
  readonly call: JobCall;
  readonly client: AbortController;
  readonly answer: Promise<readonly JobItem[]>;
  readonly dir: string;
}

function callOf(id: string): TestCall {
  const client = new AbortController();
  const dir = join(root, id);
  let call: JobCall | undefined;
  const answer = new Promise<readonly JobItem[]>((resolve, reject) => {
    const request = { requests: [{ headers: {}, requestId: id }], scratchDir: dir, deadline: 0, loadMs: 7 };
    call = {
      request: request as unknown as JobCall['request'],
      signal: client.signal,
      queuedAt: performance.now(),
      onProgress: undefined,
      resolve,
      reject,
    };
  });
  answer.catch(() => undefined);
  return { call: call as unknown as JobCall, client, answer, dir };
}

const runner = (run: (job: PipelineJob, signal: AbortSignal) => Promise<JobItem[]>): JobRunner => ({
  run,
  cancelRequest: () => undefined,
});
const begin = { jobId: 1, warnings: [] };
const gone = new EndpointError('deadline_exceeded', 'The client closed the connection.');

describe('runJob', () => {
  it('gives each request of a batch its own folder and waits, and files of the batch to whom they belong', async () => {
    const calls = ['a', 'b'].map(callOf);
    let seen: PipelineJob | undefined;
    const process = runner(async (job) => {
      seen = job;
      await mkdir(job.scratchDir, { recursive: true });
      return await Promise.all(
        job.requests.map(async ({ requestId }): Promise<JobItem> => {
          const bodyPath = join(job.scratchDir, requestId);
          await writeFile(bodyPath, requestId);
          return { ok: true, result: { bodyPath, contentType: 'text/plain' }, headers: {} };
        }),
      );
    });
    expect(
      await runJob(
        process,
        calls.map(({ call }) => call),
        begin,
      ),
    ).toBe('whole');
    expect(seen?.requests.map(({ scratchDir }) => scratchDir)).toEqual(calls.map(({ dir }) => dir));
    expect(seen?.requests.map(({ waitedMs }) => waitedMs?.load)).toEqual([7, 7]);
    for (const { answer, dir } of calls) {
      const [item] = await answer;
      const path = item?.ok ? (item.result.bodyPath as string) : '';
      expect(dirname(path)).toBe(dir);
      expect(await readFile(path, 'utf8')).toBe(dir.slice(root.length + 1));
    }
    expect(existsSync(seen?.scratchDir as string)).toBe(false);
  });

  it('leaves nothing in the folder of a request that left, whatever its work still wrote', async () => {
    const calls = ['a', 'b'].map(callOf);
    const process = runner(async (job) => {
      calls[0]?.client.abort(gone);
      await expect(calls[0]?.answer).rejects.toBe(gone); // at once, while the other goes on
      await mkdir(join(root, 'a'), { recursive: true });
      await writeFile(join(root, 'a', 'late'), 'x');
      return job.requests.map(() => ({ ok: true, result: { contentType: 'text/plain' }, headers: {} }));
    });
    expect(
      await runJob(
        process,
        calls.map(({ call }) => call),
        begin,
      ),
    ).toBe('cut');
    expect(await calls[1]?.answer).toHaveLength(1);
    expect(existsSync(join(root, 'a'))).toBe(false);
  });

  it('answers the last who leaves when the job has ended: its model is in use until then', async () => {
    const { call, client, answer } = callOf('a');
    let ended = false;
    const process = runner(
      (_job, signal) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => {
            setTimeout(() => {
              ended = true;
              reject(abortError(signal));
            }, 30);
          });
        }),
    );
    const running = runJob(process, [call], begin);
    client.abort(gone);
    await expect(answer).rejects.toBe(gone);
    expect(ended).toBe(true);
    expect(await running).toBe('cut');
  });
});
