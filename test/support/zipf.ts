/** Numbers from 0 to 1 that are the same for the same seed (mulberry32). */
function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Which of `count` things are asked for, one after another: the n-th most popular one with a share of 1/n. The same
 * for the same seed.
 */
export function zipfSequence(count: number, length: number, seed: number): number[] {
  const random = seededRandom(seed);
  const shares = Array.from({ length: count }, (_, n) => 1 / (n + 1));
  const total = shares.reduce((sum, share) => sum + share, 0);
  return Array.from({ length }, () => {
    let left = random() * total;
    const index = shares.findIndex((share) => {
      left -= share;
      return left < 0;
    });
    return index < 0 ? count - 1 : index;
  });
}

/** Does the work of each item, `clients` of them at once, in the order of the items. */
export async function withClients<T>(
  clients: number,
  items: readonly T[],
  work: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const client = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) await work(items[index] as T, index);
  };
  await Promise.all(Array.from({ length: clients }, client));
}
