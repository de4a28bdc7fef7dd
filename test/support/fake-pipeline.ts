import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { abortError, type EndpointError } from '../../src/errors.ts';
import { createLogger } from '../../src/logger.ts';
import type { LaneProcess } from '../../src/pipeline-host/lane.ts';
import { PipelineHost, type PipelineHostOptions } from '../../src/pipeline-host/pipeline-host.ts';
import type { JobItem, PipelineJob, PipelineSettings } from '../../src/pipeline-host/protocol.ts';
import type { JobRequest } from '../../src/pipeline-host/waiting-job.ts';

/** A job that a fake pipeline process was given: it ends when the test says so, or with its cancellation. */
export interface FakeJob {
  readonly job: PipelineJob;
  readonly cancelledRequests: { readonly index: number; readonly error: EndpointError }[];
  /** Answers every request with its own id. */
  finish(): void;
  fail(error: Error): void;
}

export interface FakePipeline {
  readonly host: PipelineHost;
  /** Jobs that run, oldest first. */
  readonly running: FakeJob[];
  /** Every job that was ever begun, as `model:requestId+requestId`. */
  readonly begun: string[];
  run(model: string, requestId: string, more?: Partial<JobRequest> & { signal?: AbortSignal }): Promise<string[]>;
}

/** The host's scheduling over processes that do nothing by themselves. */
export function fakePipeline(options: Partial<PipelineHostOptions> = {}): FakePipeline {
  const running: FakeJob[] = [];
  const begun: string[] = [];
  const startProcess = (): LaneProcess => ({
    pid: undefined,
    preparing: false,
    ready: Promise.resolve(),
    prepare: async (model) => {
      const maxSize = Number(/batch(\d+)/.exec(model.name)?.[1] ?? 1);
      const maxDelayMs = Number(/delay(\d+)/.exec(model.name)?.[1] ?? 0);
      return { version: '1', batch: { maxSize, maxDelayMs } };
    },
    errand: async () => undefined,
    discard: () => undefined,
    kill: () => undefined,
    cancelRequest: (jobId, index, error) =>
      running.find(({ job }) => job.jobId === jobId)?.cancelledRequests.push({ index, error }),
    run: (job, signal) => {
      begun.push(`${job.model.name}:${job.requests.map(({ requestId }) => requestId).join('+')}`);
      return new Promise((resolve, reject) => {
        const end = (): void => void running.splice(running.indexOf(fake), 1);
        const fake: FakeJob = {
          job,
          cancelledRequests: [],
          finish: () => {
            end();
            resolve(job.requests.map(({ requestId }) => answer(requestId)));
          },
          fail: (error) => {
            end();
            reject(error);
          },
        };
        running.push(fake);
        signal.addEventListener('abort', () => fake.fail(abortError(signal)));
      });
    },
  });
  const host = new PipelineHost({
    processes: 1,
    settings: {} as PipelineSettings,
    slots: { acquire: () => Promise.reject(new Error('no slots')), release: () => undefined },
    warnings: () => [],
    logger: createLogger('front', 'silent'),
    maxQueued: 100,
    startProcess,
    ...options,
  });
  const scratch = mkdtempSync(join(tmpdir(), 'fake-pipeline-'));
  return {
    host,
    running,
    begun,
    run: async (model, requestId, { signal = new AbortController().signal, ...more } = {}) => {
      const items = await host.run(
        {
          model: { key: model, name: model, dir: '', digest: model },
          signature: { inputs: [], outputs: [] },
          requests: [{ headers: {}, requestId }],
          deadline: Date.now() + 60_000,
          scratchDir: join(scratch, requestId),
          loadMs: 0,
          ...more,
        },
        signal,
      );
      return items.map((item) => (item.ok ? Buffer.from(item.result.body ?? []).toString() : item.error.code));
    },
  };
}

const answer = (text: string): JobItem => ({
  ok: true,
  result: { body: Buffer.from(text), contentType: 'text/plain' },
  headers: {},
});
