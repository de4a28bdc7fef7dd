import type { EndpointError } from '../errors.ts';
import type { HandlerRequest } from '../handlers/contract.ts';
import type { PipelineJob } from './protocol.ts';

interface OpenJob {
  readonly whole: AbortController;
  readonly requests: readonly AbortController[];
}

/** The cancellations of the jobs in a pipeline process: of a whole job, or of one of its requests. */
export class JobCancels {
  readonly #jobs = new Map<number, OpenJob>();

  /** A job begins: the signal of all of it, and its requests, each with its own. */
  open(job: PipelineJob): { signal: AbortSignal; requests: HandlerRequest[] } {
    const opened = { whole: new AbortController(), requests: job.requests.map(() => new AbortController()) };
    this.#jobs.set(job.jobId, opened);
    const requests = job.requests.map((request, index) => ({
      ...request,
      signal: (opened.requests[index] as AbortController).signal,
    }));
    return { signal: opened.whole.signal, requests };
  }

  cancel(jobId: number, index: number | undefined, error: EndpointError): void {
    const job = this.#jobs.get(jobId);
    if (index !== undefined) {
      job?.requests[index]?.abort(error);
      return;
    }
    for (const controller of job?.requests ?? []) controller.abort(error);
    job?.whole.abort(error);
  }

  close(jobId: number): void {
    this.#jobs.delete(jobId);
  }
}
