import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it, vi } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { type FakePipeline, fakePipeline } from '../../support/fake-pipeline.ts';

const gone = () => new EndpointError('deadline_exceeded', 'The client closed the connection.');

/** Runs every job to its end, as they come. */
async function finishAll({ running, host }: FakePipeline): Promise<void> {
  while (running.length > 0 || host.queued > 0) {
    running[0]?.finish();
    await turn();
  }
}

const settle = async (pipeline: FakePipeline, jobs: number) =>
  await vi.waitFor(() => expect(pipeline.running.length).toBe(jobs));

describe('the line', () => {
  it('is bounded in all, and tells when to come back', async () => {
    const pipeline = fakePipeline({ maxQueued: 2 });
    const first = pipeline.run('a', '1');
    await settle(pipeline, 1);
    const waiting = [pipeline.run('a', '2'), pipeline.run('b', '3')];
    await expect(pipeline.run('c', '4')).rejects.toMatchObject({
      code: 'overloaded',
      details: { retryAfterSeconds: 5 },
    });
    expect(pipeline.host.queued).toBe(2);
    await finishAll(pipeline);
    expect(await Promise.all([first, ...waiting])).toEqual([['1'], ['2'], ['3']]);
    expect(pipeline.begun).toEqual(['a:1', 'a:2', 'b:3']);
  });

  it('is bounded for each model, so that one can’t take it all', async () => {
    const pipeline = fakePipeline({ maxQueued: 10, maxQueuedPerModel: 1 });
    const answers = [pipeline.run('a', '1')];
    await settle(pipeline, 1);
    answers.push(pipeline.run('a', '2'));
    await expect(pipeline.run('a', '3')).rejects.toMatchObject({ code: 'overloaded' });
    answers.push(pipeline.run('b', '4'));
    expect(pipeline.host.queuedByModel()).toEqual([
      { modelName: 'a', requests: 1 },
      { modelName: 'b', requests: 1 },
    ]);
    await finishAll(pipeline);
    expect(await Promise.all(answers)).toEqual([['1'], ['2'], ['4']]);
    expect(pipeline.host.queuedByModel()).toEqual([]);
  });

  it('refuses nothing that can start at once, even where nothing may wait', async () => {
    const pipeline = fakePipeline({ maxQueued: 0, processes: 1 });
    await sleep(50); // its process is ready then
    const answer = pipeline.run('a', '1');
    await expect(pipeline.run('a', '2')).rejects.toMatchObject({ code: 'overloaded' });
    await finishAll(pipeline);
    expect(await answer).toEqual(['1']);
  });

  it('runs no more jobs of one model at once than may be, and others beside them', async () => {
    const pipeline = fakePipeline({ processes: 3, maxConcurrentPerModel: 1 });
    const answers = ['1', '2', '3'].map((id) => pipeline.run('a', id));
    answers.push(pipeline.run('b', '4'));
    await settle(pipeline, 2);
    await sleep(20);
    expect(pipeline.begun).toEqual(['a:1', 'b:4']);
    await finishAll(pipeline);
    await Promise.all(answers);
    expect(pipeline.begun).toEqual(['a:1', 'b:4', 'a:2', 'a:3']);
  });

  it('is left at once by a request whose client is gone', async () => {
    const pipeline = fakePipeline();
    const first = pipeline.run('a', '1');
    await settle(pipeline, 1);
    const client = new AbortController();
    const waiting = pipeline.run('a', '2', { signal: client.signal });
    client.abort(gone());
    await expect(waiting).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(pipeline.host.queued).toBe(0);
    await finishAll(pipeline);
    await first;
    expect(pipeline.begun).toEqual(['a:1']);
  });
});

describe('memory', () => {
  const gibibyte = 1024 ** 3;

  it('lets one job run whatever it needs, and others when they fit', async () => {
    let modelBytes = 0;
    const memory = { budgetBytes: 2.5 * gibibyte, modelBytes: () => modelBytes, shrinkModels: () => undefined };
    const pipeline = fakePipeline({ processes: 4, memory });
    // Nothing is known of these jobs: each counts as 1 GiB.
    const answers = ['1', '2', '3'].map((id) => pipeline.run('a', id));
    await settle(pipeline, 2);
    await sleep(300);
    expect(pipeline.begun).toEqual(['a:1', 'a:2']);
    modelBytes = 2 * gibibyte;
    pipeline.running[0]?.finish();
    await sleep(300);
    expect(pipeline.begun).toEqual(['a:1', 'a:2']);
    pipeline.running[0]?.finish();
    await settle(pipeline, 1);
    expect(pipeline.begun).toEqual(['a:1', 'a:2', 'a:3']);
    await finishAll(pipeline);
    await Promise.all(answers);
  });

  it('has idle models leave for a job that waits for room, and starts it when they are gone', async () => {
    let modelBytes = 2 * gibibyte;
    const asked: number[] = [];
    const memory = {
      budgetBytes: 3 * gibibyte,
      modelBytes: () => modelBytes,
      shrinkModels: (toBytes: number) => asked.push(toBytes),
    };
    const pipeline = fakePipeline({ processes: 2, memory });
    const answers = [pipeline.run('a', '1'), pipeline.run('a', '2')];
    await vi.waitFor(() => expect(asked[0]).toBe(gibibyte));
    expect(pipeline.running.length).toBe(1);
    modelBytes = gibibyte;
    await settle(pipeline, 2);
    await finishAll(pipeline);
    await Promise.all(answers);
  });

  it('never holds a small job back, and a job that waits for room is left at once', async () => {
    const memory = { budgetBytes: 1, modelBytes: () => 0, shrinkModels: () => undefined };
    const pipeline = fakePipeline({ processes: 3, memory });
    const client = new AbortController();
    const big = pipeline.run('a', '1');
    await settle(pipeline, 1);
    const waiting = pipeline.run('a', '2', { signal: client.signal });
    await sleep(20);
    client.abort(gone());
    await expect(waiting).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const requests = [{ headers: { 'content-type': 'application/x-test' }, requestId: '3', body: Buffer.from('x') }];
    const small = pipeline.run('b', '3', { requests });
    await settle(pipeline, 2);
    await finishAll(pipeline);
    expect(await Promise.all([big, small])).toEqual([['1'], ['3']]);
  });
});

describe('batches', () => {
  const prepared = async (model: string, more: Parameters<typeof fakePipeline>[0] = {}) => {
    const pipeline = fakePipeline(more);
    const identity = { key: model, name: model, dir: '', digest: '' };
    await pipeline.host.prepare(identity, new AbortController().signal);
    return pipeline;
  };

  it('are made of requests that come within the delay, each answered by its own', async () => {
    const model = 'batch8-delay50';
    const pipeline = await prepared(model);
    const answers = ['1', '2', '3'].map((id) => pipeline.run(model, id));
    await sleep(20);
    expect(pipeline.begun).toEqual([]);
    await settle(pipeline, 1);
    await finishAll(pipeline);
    expect(await Promise.all(answers)).toEqual([['1'], ['2'], ['3']]);
    expect(pipeline.begun).toEqual([`${model}:1+2+3`]);
  });

  it('start when they are full, and are no bigger', async () => {
    const model = 'batch2-delay60000';
    const pipeline = await prepared(model, { processes: 2 });
    const answers = ['1', '2', '3', '4'].map((id) => pipeline.run(model, id));
    await settle(pipeline, 2);
    await finishAll(pipeline);
    expect(await Promise.all(answers)).toEqual([['1'], ['2'], ['3'], ['4']]);
    expect(pipeline.begun).toEqual([`${model}:1+2`, `${model}:3+4`]);
  });

  it('hold up no other model, and models that ask for none get none', async () => {
    const model = 'batch2-delay60000';
    const pipeline = await prepared(model, { processes: 1 });
    const client = new AbortController();
    const waiting = pipeline.run(model, '1', { signal: client.signal });
    const others = [pipeline.run('plain', '2'), pipeline.run('plain', '3')];
    await settle(pipeline, 1);
    pipeline.running[0]?.finish();
    await settle(pipeline, 1);
    pipeline.running[0]?.finish();
    expect(await Promise.all(others)).toEqual([['2'], ['3']]);
    expect(pipeline.begun).toEqual(['plain:2', 'plain:3']);
    client.abort(gone());
    await expect(waiting).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(pipeline.host.queued).toBe(0);
  });

  it('lose a request that is cancelled, and only that one; the job ends with the last', async () => {
    const model = 'batch3-delay60000';
    const pipeline = await prepared(model);
    const clients = ['1', '2', '3'].map(() => new AbortController());
    const answers = clients.map(({ signal }, n) => pipeline.run(model, `${n + 1}`, { signal }));
    await settle(pipeline, 1);
    clients[1]?.abort(gone());
    await expect(answers[1]).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(pipeline.running[0]?.cancelledRequests).toMatchObject([{ index: 1, error: { code: 'deadline_exceeded' } }]);
    clients[0]?.abort(gone());
    await expect(answers[0]).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(pipeline.running.length).toBe(1);
    clients[2]?.abort(gone());
    await expect(answers[2]).rejects.toMatchObject({ code: 'deadline_exceeded' });
    expect(pipeline.running.length).toBe(0);
    await vi.waitFor(() => expect(pipeline.host.running).toBe(0));
  });

  it('fail together when the process dies, and the next request works', async () => {
    const model = 'batch2-delay60000';
    const pipeline = await prepared(model);
    const answers = ['1', '2'].map((id) => pipeline.run(model, id));
    await settle(pipeline, 1);
    pipeline.running[0]?.fail(new EndpointError('worker_crashed', 'died'));
    for (const answer of answers) await expect(answer).rejects.toMatchObject({ code: 'worker_crashed' });
    pipeline.host.forget(model);
    const next = pipeline.run(model, '3');
    await settle(pipeline, 1);
    await finishAll(pipeline);
    expect(await next).toEqual(['3']);
  });
});
