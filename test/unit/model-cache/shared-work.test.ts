import { describe, expect, it } from 'vitest';
import { EndpointError } from '../../../src/errors.ts';
import { SharedWork } from '../../../src/model-cache/shared-work.ts';
import { gate } from '../../support/fake-models.ts';

const never = new AbortController().signal;

describe('SharedWork', () => {
  it('does the work once for all who come while it runs', async () => {
    const work = new SharedWork<number>();
    const open = gate();
    let starts = 0;
    const start = async (): Promise<number> => {
      starts++;
      await open.closed;
      return starts;
    };
    const waiting = Array.from({ length: 5 }, () => work.join('k', never, start));
    open.open();
    expect(await Promise.all(waiting)).toEqual([1, 1, 1, 1, 1]);
    expect(await work.join('k', never, start)).toBe(2);
  });

  it('gives all of them the failure, and the next one a new try', async () => {
    const work = new SharedWork<number>();
    const failing = (): Promise<number> => Promise.reject(new Error('no'));
    const results = await Promise.allSettled([work.join('k', never, failing), work.join('k', never, failing)]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(await work.join('k', never, async () => 7)).toBe(7);
  });

  it('lets one leave without stopping the others', async () => {
    const work = new SharedWork<number>();
    const open = gate();
    let cancelled = false;
    const start = async (signal: AbortSignal): Promise<number> => {
      signal.addEventListener('abort', () => {
        cancelled = true;
      });
      await open.closed;
      return 1;
    };
    const leaver = new AbortController();
    const left = work.join('k', leaver.signal, start);
    const stays = work.join('k', never, start);
    leaver.abort(new EndpointError('deadline_exceeded', 'enough'));
    await expect(left).rejects.toMatchObject({ message: 'enough' });
    expect(cancelled).toBe(false);
    open.open();
    expect(await stays).toBe(1);
  });

  it('stops when the last one leaves; whoever comes next starts anew, after the old one has ended', async () => {
    const work = new SharedWork<string>();
    const log: string[] = [];
    const ending = gate();
    const leaver = new AbortController();
    const left = work.join('k', leaver.signal, async (signal) => {
      await new Promise((resolve) => signal.addEventListener('abort', resolve));
      log.push('cancelled');
      await ending.closed;
      log.push('ended');
      throw new Error('cancelled');
    });
    leaver.abort();
    await expect(left).rejects.toMatchObject({ code: 'deadline_exceeded' });
    const next = work.join('k', never, async () => {
      log.push('anew');
      return 'fine';
    });
    await new Promise((resolve) => setTimeout(resolve, 5));
    ending.open();
    expect(await next).toBe('fine');
    expect(log).toEqual(['cancelled', 'ended', 'anew']);
  });

  it('starts nothing for a caller who has left already', async () => {
    const controller = new AbortController();
    controller.abort();
    const start = (): Promise<number> => Promise.reject(new Error('must not start'));
    await expect(new SharedWork<number>().join('k', controller.signal, start)).rejects.toMatchObject({
      code: 'deadline_exceeded',
    });
  });
});
