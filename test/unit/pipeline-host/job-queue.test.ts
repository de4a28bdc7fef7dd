import { describe, expect, it } from 'vitest';
import { JobQueue } from '../../../src/pipeline-host/job-queue.ts';

const drain = (queue: JobQueue<{ modelName: string; n: number }>): string[] => {
  const order: string[] = [];
  for (let job = queue.shift(); job; job = queue.shift()) order.push(`${job.modelName}${job.n}`);
  return order;
};

describe('JobQueue', () => {
  it('takes turns between models, in order within one', () => {
    const queue = new JobQueue<{ modelName: string; n: number }>();
    for (const n of [1, 2, 3]) queue.push({ modelName: 'a', n });
    for (const n of [1, 2]) queue.push({ modelName: 'b', n });
    expect(queue.size).toBe(5);
    expect(drain(queue)).toEqual(['a1', 'b1', 'a2', 'b2', 'a3']);
    expect(queue.size).toBe(0);
  });

  it('lets a job leave the line once', () => {
    const queue = new JobQueue<{ modelName: string; n: number }>();
    const job = { modelName: 'a', n: 1 };
    queue.push(job);
    expect(queue.remove(job)).toBe(true);
    expect(queue.remove(job)).toBe(false);
    expect(queue.size).toBe(0);
    expect(queue.shift()).toBeUndefined();
  });
});
