import { describe, expect, it } from 'vitest';
import { JobQueue } from '../../../src/pipeline-host/job-queue.ts';

interface Job {
  readonly modelName: string;
  readonly n: number;
  readonly requests: number;
}
const job = (modelName: string, n: number, requests = 1): Job => ({ modelName, n, requests });

const drain = (queue: JobQueue<Job>, mayRun: (job: Job) => boolean = () => true): string[] => {
  const order: string[] = [];
  for (let next = queue.next(mayRun); next; next = queue.next(mayRun)) {
    queue.take(next);
    order.push(`${next.modelName}${next.n}`);
  }
  return order;
};

describe('JobQueue', () => {
  it('takes turns between models, in order within one', () => {
    const queue = new JobQueue<Job>();
    for (const n of [1, 2, 3]) queue.push(job('a', n));
    for (const n of [1, 2]) queue.push(job('b', n));
    expect(queue.size).toBe(5);
    expect(drain(queue)).toEqual(['a1', 'b1', 'a2', 'b2', 'a3']);
    expect(queue.size).toBe(0);
  });

  it('passes over a model that may not run, and never over the first job of one', () => {
    const queue = new JobQueue<Job>();
    for (const n of [1, 2]) queue.push(job('a', n));
    for (const n of [1, 2]) queue.push(job('b', n));
    expect(drain(queue, ({ modelName }) => modelName === 'b')).toEqual(['b1', 'b2']);
    expect(drain(queue, ({ n }) => n === 2)).toEqual([]);
    expect(drain(queue)).toEqual(['a1', 'a2']);
  });

  it('counts the requests of its jobs', () => {
    const queue = new JobQueue<Job>();
    queue.push(job('a', 1, 3));
    queue.push(job('b', 1, 2));
    expect([queue.size, queue.sizeOf('a'), queue.sizeOf('none')]).toEqual([5, 3, 0]);
    expect(queue.modelNames).toEqual(['a', 'b']);
  });

  it('lets a job leave the line once', () => {
    const queue = new JobQueue<Job>();
    const leaving = job('a', 1);
    queue.push(leaving);
    expect(queue.remove(leaving)).toBe(true);
    expect(queue.remove(leaving)).toBe(false);
    expect(queue.size).toBe(0);
    expect(queue.next(() => true)).toBeUndefined();
  });
});
