import type { EndpointError } from '../errors.ts';
import type { Handler, HandlerContext, HandlerRequest } from '../handlers/contract.ts';
import { runHandler } from '../handlers/handler-runner.ts';
import type { FromPipeline, PipelineJob } from './protocol.ts';

/** What differs between the kinds of pipeline processes in a job. */
export interface JobSetting extends Pick<HandlerContext, 'signal' | 'network' | 'span' | 'writing'> {
  readonly requests: readonly HandlerRequest[];
  readonly send: (message: FromPipeline) => void;
  /** The handler of the model; what it throws fails the job. */
  readonly handler: () => Promise<Handler> | Handler;
  /** What a thrown value is to the caller. */
  readonly errorOf: (thrown: unknown) => EndpointError;
}

/** Runs a job through its handler and sends what came of it. Never throws. */
export async function runHandlerJob(job: PipelineJob, setting: JobSetting): Promise<void> {
  const { jobId, model } = job;
  const { requests, send, handler, errorOf, ...own } = setting;
  try {
    const items = await runHandler(await handler(), requests, {
      ...own,
      systemProperties: { model_dir: model.dir, gpu_id: null, model_name: model.name },
      manifest: { sha256: model.digest },
      deadline: job.deadline,
      scratchDir: job.scratchDir,
      waitedMs: job.waitedMs,
      warnings: job.warnings,
      progress: (fraction, phase) => send({ type: 'progress', jobId, fraction, phase }),
    });
    send({ type: 'result', jobId, items });
  } catch (thrown) {
    send({ type: 'failed', jobId, error: errorOf(thrown).toJSON() });
  }
}
