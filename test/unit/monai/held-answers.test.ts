import { expect, it } from 'vitest';
import { HeldAnswers } from '../../../src/monai/inferers/held-answers.ts';

const later = (ms: number): Promise<string> => new Promise((resolve) => setTimeout(resolve, ms, 'waits'));
const mib = 1024 * 1024;
/** Whether an answer is admitted now. */
const state = (admitted: Promise<void> | undefined) => Promise.race([admitted?.then(() => 'admitted'), later(20)]);

it('leaves small answers alone', () => {
  expect(new HeldAnswers(mib).roomFor(5)).toBeUndefined();
  expect(new HeldAnswers(0).roomFor(5)).toBeUndefined();
});

it('admits as many as fit, in order, as the ones before are taken', async () => {
  const held = new HeldAnswers(300 * mib);
  const admitted = [0, 1, 2, 3].map((index) => held.roomFor(index)?.admit());
  expect(await Promise.all(admitted.map(state))).toEqual(['admitted', 'admitted', 'waits', 'waits']);
  held.taken(0);
  expect(await Promise.all(admitted.map(state))).toEqual(['admitted', 'admitted', 'admitted', 'waits']);
  held.taken(1);
  expect(await state(admitted[3])).toBe('admitted');
});

it('uses the memory of what was taken again', () => {
  const held = new HeldAnswers(80 * mib);
  const memory = (index: number) => held.roomFor(index)?.memory(80 * mib);
  const first = memory(0);
  expect(first?.length).toBe(80 * mib);
  // Compared here: the matcher looks through the contents of two arrays that differ, byte by byte.
  const isFirst = (index: number) => memory(index) === first;
  // Run again after a crash: the same memory.
  expect(isFirst(0)).toBe(true);
  expect(isFirst(1)).toBe(false);
  held.taken(0);
  expect(isFirst(2)).toBe(true);
  expect(held.roomFor(3)?.memory(4)).toBeUndefined();
});

it('lets nobody wait for ever', async () => {
  const held = new HeldAnswers(700 * mib, 30);
  const waiting = held.roomFor(1)?.admit();
  expect(await state(waiting)).toBe('waits');
  expect(await Promise.race([waiting?.then(() => 'admitted'), later(5000)])).toBe('admitted');
});
