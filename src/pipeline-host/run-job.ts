import { randomUUID } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { abortError, asEndpointError } from '../errors.ts';
import { noSpan, type Span, type TraceContext } from '../tracing/span.ts';
import type { PipelineProcess } from './pipeline-process.ts';
import type { JobItem, PipelineJob } from './protocol.ts';
import type { JobCall } from './waiting-job.ts';

/** What a process must do to run jobs. */
export type JobRunner = Pick<PipelineProcess, 'run' | 'cancelRequest'>;

export interface JobBegin {
  readonly jobId: number;
  readonly warnings: readonly string[];
  readonly trace?: TraceContext;
}

/** How a job ended: `whole` when at least one of its requests was answered and none of its callers left. */
export type JobEnd = 'whole' | 'cut';

/**
 * Runs the calls of a job together and answers each. A caller that leaves is answered at once while others are left;
 * with the last one the job itself is cancelled, and answered when it has ended, since its model is in use until then.
 * Never throws.
 */
export async function runJob(process: JobRunner, calls: readonly JobCall[], begin: JobBegin): Promise<JobEnd> {
  const spans = new Map(calls.map((call) => [call, beginSpan(call, calls.length)]));
  // The steps of a batch are recorded once: in the trace of its first request that has one.
  const trace = [...spans.values()].find(({ context }) => context)?.context;
  const { job, batchDir } = jobOf(calls, { ...begin, ...(trace ? { trace } : {}) });
  const cancelled = new AbortController();
  const left = new Set(calls);
  const leaving: (() => void)[] = [];
  let firstRequest = 0;
  for (const call of calls) {
    const requests = call.request.requests.map((_, n) => firstRequest + n);
    firstRequest += requests.length;
    const leave = (): void => {
      if (left.size === 1) {
        cancelled.abort(call.signal.reason);
        return;
      }
      left.delete(call);
      for (const index of requests) process.cancelRequest(job.jobId, index, asEndpointError(call.signal.reason));
      const error = abortError(call.signal);
      spans.get(call)?.end(error.code);
      call.reject(error);
    };
    call.signal.addEventListener('abort', leave, { once: true });
    leaving.push(() => call.signal.removeEventListener('abort', leave));
  }
  const progress = (fraction: number, phase: string): void => {
    for (const call of left) call.onProgress?.(fraction, phase);
  };
  try {
    const items = await process.run(job, cancelled.signal, progress);
    const isWhole = items.some(({ ok }) => ok) && left.size === calls.length;
    const answers = batchDir === undefined ? items : await takenFrom(batchDir, items, calls);
    let at = 0;
    for (const call of calls) {
      const { length } = call.request.requests;
      const own = answers.slice(at, at + length);
      const failed = own.find((item) => !item.ok);
      spans.get(call)?.end(failed && !failed.ok ? failed.error.code : undefined);
      if (left.has(call)) call.resolve(own);
      at += length;
    }
    return isWhole ? 'whole' : 'cut';
  } catch (thrown) {
    for (const call of left) {
      const error = asEndpointError(thrown);
      spans.get(call)?.end(error.code);
      call.reject(error);
    }
    return 'cut';
  } finally {
    for (const stop of leaving) stop();
    // Those who left have removed their folders already; their work may have made them anew before it stopped.
    const unwanted = calls.filter((call) => !left.has(call)).map(({ request }) => request.scratchDir);
    if (batchDir !== undefined) unwanted.push(batchDir);
    for (const dir of unwanted) await rm(dir, { recursive: true, force: true }).catch(() => undefined);
  }
}

/** The wait of a call is over, its run begins. */
function beginSpan({ queueSpan, request }: JobCall, calls: number): Span {
  queueSpan?.end();
  return (request.span ?? noSpan).child('pipeline', { 'map_endpoint.batch_size': calls });
}

/** One job of all calls. Those of a batch share a folder that no single one of them owns. */
function jobOf(calls: readonly JobCall[], begin: JobBegin): { job: PipelineJob; batchDir?: string } {
  const [first] = calls as readonly [JobCall, ...JobCall[]];
  const now = performance.now();
  const waitedMs = ({ queuedAt, request }: JobCall) => ({ queue: now - queuedAt, load: request.loadMs });
  const { loadMs: _, span: __, ...common } = first.request;
  if (calls.length === 1) return { job: { ...common, ...begin, waitedMs: waitedMs(first) } };
  const batchDir = join(dirname(first.request.scratchDir), randomUUID());
  const requests = calls.flatMap((call) => {
    const { scratchDir, deadline } = call.request;
    return call.request.requests.map((request) => ({ ...request, scratchDir, deadline, waitedMs: waitedMs(call) }));
  });
  const deadline = Math.max(...calls.map(({ request }) => request.deadline));
  return {
    batchDir,
    job: { ...common, ...begin, requests, deadline, scratchDir: batchDir, waitedMs: waitedMs(first) },
  };
}

/** Results whose files lie in the folder of the batch move to the folder of their own call, which outlives it. */
async function takenFrom(batchDir: string, items: readonly JobItem[], calls: readonly JobCall[]): Promise<JobItem[]> {
  const dirs = calls.flatMap(({ request }) => request.requests.map(() => request.scratchDir));
  return await Promise.all(
    items.map(async (item, index) => {
      if (!item.ok || item.result.bodyPath?.startsWith(batchDir + sep) !== true) return item;
      const dir = dirs[index] as string;
      const bodyPath = join(dir, `batch-${basename(item.result.bodyPath)}`);
      await mkdir(dir, { recursive: true, mode: 0o700 });
      await rename(item.result.bodyPath, bodyPath);
      return { ...item, result: { ...item.result, bodyPath } };
    }),
  );
}
