import { describe, expect, it } from 'vitest';
import { BoundedWait } from '../../../src/model-cache/bounded-wait.ts';

describe('BoundedWait', () => {
  it('refuses who comes when too many wait, and has room again when one is through or has failed', async () => {
    const wait = new BoundedWait(2);
    let finish = (): void => undefined;
    const first = wait.during(() => new Promise<void>((resolve) => (finish = resolve)));
    const failing = wait.during(() => Promise.reject(new Error('no such model')));
    await expect(wait.during(async () => 1)).rejects.toMatchObject({ code: 'overloaded' });
    await expect(failing).rejects.toThrow('no such model');
    expect(await wait.during(async () => 2)).toBe(2);
    finish();
    await first;
  });
});
