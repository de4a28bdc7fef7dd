import { describe, expect, it } from 'vitest';
import { JobMemory } from '../../../src/pipeline-host/job-memory.ts';
import { JobPace } from '../../../src/pipeline-host/job-pace.ts';

const mebibyte = 1024 ** 2;

describe('JobPace', () => {
  it('tells when half of what waits will have begun', () => {
    const pace = new JobPace();
    for (let n = 0; n < 20; n++) pace.ended('slow', 1, 10_000);
    expect(pace.retryAfterSeconds([{ modelName: 'slow', requests: 8 }], 2)).toBe(20);
    expect(pace.retryAfterSeconds([{ modelName: 'slow', requests: 8 }], 1)).toBe(40);
  });

  it('counts each model at its own pace, and a new one at that of all', () => {
    const pace = new JobPace();
    pace.ended('slow', 1, 10_000);
    pace.ended('batched', 10, 10_000);
    const told = (modelName: string) => pace.retryAfterSeconds([{ modelName, requests: 100 }], 1);
    expect(told('slow')).toBe(500);
    expect(told('batched')).toBe(50);
    expect(told('new')).toBeGreaterThan(50);
    expect(told('new')).toBeLessThan(500);
  });

  it('follows a change, and stays within reason', () => {
    const pace = new JobPace();
    expect(pace.retryAfterSeconds([{ modelName: 'a', requests: 3 }], 1)).toBe(5); // nothing is known yet
    pace.ended('a', 1, 100_000);
    expect(pace.retryAfterSeconds([{ modelName: 'a', requests: 1000 }], 1)).toBe(600);
    for (let n = 0; n < 50; n++) pace.ended('a', 1, 1);
    expect(pace.retryAfterSeconds([{ modelName: 'a', requests: 1 }], 4)).toBe(1);
  });
});

describe('JobMemory', () => {
  const data = (amount: number) => ({ kind: 'data' as const, amount });
  const named = (amount: number) => ({ kind: 'named' as const, amount });

  it('starts from a rule of thumb on the input, and forgets about small ones', () => {
    const memory = new JobMemory();
    expect(memory.estimateBytes('d', data(1000))).toBe(0);
    expect(memory.estimateBytes('d', data(10 * mebibyte))).toBe(400 * mebibyte);
    expect(memory.estimateBytes('d', named(1))).toBe(1024 * mebibyte);
    expect(memory.estimateBytes('d', named(3))).toBe(3 * 1024 * mebibyte);
  });

  it('learns the peak of a model and an input size, and keeps the highest', () => {
    const memory = new JobMemory();
    memory.record('d', named(1), 300 * mebibyte, true);
    memory.record('d', named(1), 200 * mebibyte, true);
    expect(memory.estimateBytes('d', named(1))).toBe(300 * mebibyte);
    memory.record('d', named(1), 700 * mebibyte, true);
    expect(memory.estimateBytes('d', named(1))).toBe(700 * mebibyte);
    expect(memory.estimateBytes('other', named(1))).toBe(1024 * mebibyte);
  });

  it('takes the greater of the rule and the biggest job for a size that it has not seen', () => {
    const memory = new JobMemory();
    memory.record('d', data(mebibyte), 200 * mebibyte, true);
    expect(memory.estimateBytes('d', data(100 * mebibyte))).toBe(4000 * mebibyte);
    memory.record('d', data(100 * mebibyte), 5000 * mebibyte, true);
    expect(memory.estimateBytes('d', data(20 * mebibyte))).toBe(5000 * mebibyte);
    expect(memory.estimateBytes('d', data(mebibyte))).toBe(200 * mebibyte);
  });

  it('learns nothing small from a job that failed: it may have ended before its peak', () => {
    const memory = new JobMemory();
    memory.record('d', named(1), 100 * mebibyte, false);
    expect(memory.estimateBytes('d', named(1))).toBe(1024 * mebibyte);
    memory.record('d', named(1), 2000 * mebibyte, false);
    expect(memory.estimateBytes('d', named(1))).toBe(2000 * mebibyte);
  });
});
