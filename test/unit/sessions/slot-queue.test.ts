import { describe, expect, it } from 'vitest';
import { SlotQueue, type Waiter } from '../../../src/sessions/slot-queue.ts';

const waiter = (since = 0): Waiter => ({ since, resolve: () => undefined, reject: () => undefined });
const always = (): boolean => true;

describe('SlotQueue', () => {
  it('lets models take turns, however many windows one of them has', () => {
    const queue = new SlotQueue();
    for (let i = 0; i < 4; i++) queue.push('busy', waiter(i));
    queue.push('other', waiter(10));
    queue.push('third', waiter(11));
    const order: string[] = [];
    for (let next = queue.next(always); next; next = queue.next(always)) order.push(next.modelKey);
    expect(order).toEqual(['busy', 'other', 'third', 'busy', 'busy', 'busy']);
  });

  it('serves a model in the order of its windows', () => {
    const queue = new SlotQueue();
    const waiters = [waiter(1), waiter(2), waiter(3)];
    for (const one of waiters) queue.push('a', one);
    expect(waiters.map(() => queue.next(always)?.waiter)).toEqual(waiters);
  });

  it('passes over models that cannot be served now, without taking their turn away', () => {
    const queue = new SlotQueue();
    queue.push('a', waiter());
    queue.push('b', waiter());
    queue.push('b', waiter());
    expect(queue.next((key) => key === 'b')?.modelKey).toBe('b');
    expect(queue.next(always)?.modelKey).toBe('a');
    expect(queue.next((key) => key === 'a')).toBeUndefined();
    expect(queue.waiting('b')).toBe(1);
  });

  it('forgets windows that were withdrawn', () => {
    const queue = new SlotQueue();
    const [first, second] = [waiter(5), waiter(6)];
    queue.push('a', first);
    queue.push('a', second);
    expect(queue.oldest('a')).toBe(5);
    expect(queue.remove('a', first)).toBe(true);
    expect(queue.remove('a', first)).toBe(false);
    expect(queue.oldest('a')).toBe(6);
    expect(queue.next(always)?.waiter).toBe(second);
    expect(queue.modelKeys).toEqual([]);
  });
});
