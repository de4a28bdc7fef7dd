import { expect, it } from 'vitest';
import { InThreadPool } from '../../../src/compute/pool.ts';
import { EndpointError } from '../../../src/errors.ts';
import { Application } from '../../../src/pipeline/application.ts';
import type { Operator } from '../../../src/pipeline/operator.ts';
import { PhaseClock } from '../../../src/pipeline/phase-clock.ts';
import { testContext } from '../../support/pipeline-context.ts';

const context = testContext({ pool: new InThreadPool() });
const ran: string[] = [];
function operator<I extends object, O extends object>(name: string, compute: (inputs: I) => O): Operator<I, O> {
  return {
    name,
    async compute(inputs) {
      ran.push(name);
      return compute(inputs);
    },
  };
}

it('computes each operator once, after all that feed it', async () => {
  const two = operator('two', () => ({ number: 2 }));
  const double = operator('double', ({ value }: { value: number }) => ({ result: value * 2 }));
  const sum = operator('sum', ({ a, b }: { a: number; b: number }) => ({ total: a + b }));
  const application = new Application()
    .addFlow(double, sum, { b: 'result' })
    .addFlow(two, sum, { a: 'number' })
    .addFlow(two, double, { value: 'number' });
  const outputsOf = await application.run(context);
  expect(outputsOf(sum)).toEqual({ total: 6 });
  expect(ran).toEqual(['two', 'double', 'sum']);
});

it('refuses a cycle', async () => {
  const a = operator('a', ({ x }: { x: number }) => ({ y: x }));
  const b = operator('b', ({ y }: { y: number }) => ({ x: y }));
  await expect(
    new Application().addFlow(a, b, { y: 'y' }).addFlow(b, a, { x: 'x' }).run(context),
  ).rejects.toMatchObject({ code: 'internal' });
});

it('starts no operator after the end of the request', async () => {
  const reason = new EndpointError('deadline_exceeded', 'too late');
  const controller = new AbortController();
  const first = operator('first', () => {
    controller.abort(reason);
    return { x: 1 };
  });
  const second = operator('second', () => ({}));
  const running = new Application().addFlow(first, second, {}).run({ ...context, signal: controller.signal });
  await expect(running).rejects.toBe(reason);
  expect(ran).not.toContain('second');
});

it('counts the time of each phase, also of one that fails', async () => {
  const clock = new PhaseClock();
  await clock.time('fetch', () => new Promise((resolve) => setTimeout(resolve, 20)));
  await expect(clock.time('decode', () => Promise.reject(new Error('x')))).rejects.toThrow('x');
  clock.add('inference', 1000.4);
  const timings = clock.timings({ queue: 5, load: 7 });
  expect(timings).toMatchObject({ queue: 5, load: 7, inference: 1000, write: 0 });
  expect(timings.fetch).toBeGreaterThanOrEqual(19);
  expect(timings.total).toBeGreaterThanOrEqual(31);
});
