import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { JobCancels } from '../../../src/pipeline-host/job-cancels.ts';
import type { FromPipeline, PipelineJob } from '../../../src/pipeline-host/protocol.ts';
import { RemoteSlots } from '../../../src/pipeline-host/remote-slots.ts';

const gone = new EndpointError('deadline_exceeded', 'The client closed the connection.');

describe('RemoteSlots', () => {
  it('is left at once by a window that waits for a slot; a grant that comes too late goes back', async () => {
    const sent: FromPipeline[] = [];
    const slots = new RemoteSlots((message) => sent.push(message));
    const client = new AbortController();
    const waiting = slots.acquire('m', client.signal);
    client.abort(gone);
    await expect(waiting).rejects.toBe(gone);
    slots.granted(0, { grantId: 7, socketPath: '', sessionId: '' });
    expect(sent).toEqual([
      { type: 'acquire', id: 0, modelKey: 'm' },
      { type: 'withdraw', id: 0 },
      { type: 'release', grantId: 7, outcome: 'done' },
    ]);
  });
});

describe('JobCancels', () => {
  const job = { jobId: 1, requests: ['a', 'b'].map((requestId) => ({ headers: {}, requestId })) };
  const open = () => {
    const cancels = new JobCancels();
    const { signal, requests } = cancels.open(job as unknown as PipelineJob);
    return {
      cancels,
      aborted: () => [signal, ...requests.map((request) => request.signal)].map((one) => one?.aborted),
    };
  };

  it('cancels one request of a job', () => {
    const { cancels, aborted } = open();
    cancels.cancel(1, 1, gone);
    expect(aborted()).toEqual([false, false, true]);
  });

  it('cancels all of it, and nothing of a job that is over', () => {
    const { cancels, aborted } = open();
    cancels.cancel(2, undefined, gone);
    expect(aborted()).toEqual([false, false, false]);
    cancels.cancel(1, undefined, gone);
    expect(aborted()).toEqual([true, true, true]);
    cancels.close(1);
    cancels.cancel(1, 0, gone);
  });
});
