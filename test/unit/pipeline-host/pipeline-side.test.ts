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

  describe('with a slot that came with the job', () => {
    const grant = { grantId: 7, socketPath: 'socket', sessionId: 's' };
    const release = { type: 'release', grantId: 7, outcome: 'done' };
    const open = () => {
      const said: FromPipeline[] = [];
      const saidSoon: FromPipeline[] = [];
      const slots = new RemoteSlots(
        (message) => said.push(message),
        (message) => saidSoon.push(message),
      );
      slots.offered('m', grant);
      return { slots, said, saidSoon };
    };
    const never = new AbortController().signal;

    it('asks for nothing at the first window, and for the second one', async () => {
      const { slots, said, saidSoon } = open();
      expect(await slots.acquire('m', never)).toBe(grant);
      slots.release(grant, 'done');
      slots.takeBack(); // it is back already
      expect(saidSoon).toEqual([release]);
      void slots.acquire('m', never);
      expect(said).toEqual([{ type: 'acquire', id: 0, modelKey: 'm' }]);
    });

    it('does not give it to another model, and gives it back when the job is over', () => {
      const { slots, said, saidSoon } = open();
      void slots.acquire('other', never);
      expect(said).toEqual([{ type: 'acquire', id: 0, modelKey: 'other' }]);
      slots.takeBack();
      slots.takeBack();
      expect(saidSoon).toEqual([release]);
    });

    it('does not take it when the request is cancelled already', async () => {
      const { slots, saidSoon } = open();
      await expect(slots.acquire('m', AbortSignal.abort(gone))).rejects.toBe(gone);
      slots.takeBack();
      expect(saidSoon).toEqual([release]);
    });
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
