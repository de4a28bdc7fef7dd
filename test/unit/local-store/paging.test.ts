import { describe, expect, it } from 'vitest';
import { pageOf } from '../../../src/local-store/paging.ts';

const items = Array.from({ length: 7 }, (_, index) => ({ at: 100 - Math.floor(index / 2), id: `id${index}` }));
const keyOf = ({ at, id }: { at: number; id: string }): [number, string] => [at, id];
type Options = { descending?: boolean; maxResults?: number; nextToken?: string; query?: unknown };
const page = (list: typeof items, { descending = false, maxResults, nextToken, query = 'q' }: Options) =>
  pageOf(list, { keyOf, descending, maxResults, nextToken, query });

describe('pageOf', () => {
  it.each([false, true])('gives every item once, in order (descending: %s)', (descending) => {
    const seen: string[] = [];
    let nextToken: string | undefined;
    do {
      const next = page(items, { descending, maxResults: 3, ...(nextToken ? { nextToken } : {}) });
      seen.push(...next.items.map(({ id }) => id));
      nextToken = next.nextToken;
    } while (nextToken);
    const ascending = ['id6', 'id4', 'id5', 'id2', 'id3', 'id0', 'id1'];
    expect(seen).toEqual(descending ? ascending.toReversed() : ascending);
  });

  it('neither doubles nor hides others when items come and go between two pages', () => {
    const first = page(items, { maxResults: 3 });
    const changed = [...items.filter(({ id }) => id !== 'id5'), { at: 1, id: 'early' }, { at: 200, id: 'late' }];
    const second = page(changed, { maxResults: 50, nextToken: first.nextToken as string });
    expect(second.items.map(({ id }) => id)).toEqual(['id2', 'id3', 'id0', 'id1', 'late']);
    expect(second.nextToken).toBeUndefined();
  });

  it('ends without a token when the last page is exactly full', () => {
    expect(page(items, { maxResults: 7 }).nextToken).toBeUndefined();
  });

  it.each(['', 'rubbish', Buffer.from('[1]').toString('base64url')])('refuses the token %j', (nextToken) => {
    expect(() => page(items, { nextToken })).toThrow(expect.objectContaining({ name: 'ValidationException' }));
  });

  it('refuses the token of another query', () => {
    const { nextToken } = page(items, { maxResults: 1, query: ['a'] });
    expect(() => page(items, { nextToken: nextToken as string, query: ['b'] })).toThrow('nextToken');
  });
});
