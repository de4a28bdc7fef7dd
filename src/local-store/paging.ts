import { createHash } from 'node:crypto';
import { validation } from './service-error.ts';

/** A page of a sorted list and the token of the next one. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly nextToken: string | undefined;
}

type SortKey = readonly [value: string | number, id: string];

/**
 * Cuts a page out of a list. The token holds the key of the last item, not a position, so items that come or go
 * between two calls neither double nor hide others; it is bound to the query that it was made for.
 *
 * @param items - in ascending or descending order of `keyOf`, whose second part is unique
 * @param query - everything that shapes the list: a token of another query is refused
 * @throws ServiceError `ValidationException` for a token that is not of this query
 */
export function pageOf<T>(
  items: readonly T[],
  options: {
    readonly keyOf: (item: T) => SortKey;
    readonly descending?: boolean;
    readonly maxResults: number | undefined;
    readonly nextToken: string | undefined;
    readonly query: unknown;
  },
): Page<T> {
  const digest = createHash('sha256').update(JSON.stringify(options.query)).digest('base64url').slice(0, 16);
  const after = options.nextToken === undefined ? undefined : readToken(options.nextToken, digest);
  const sign = options.descending ? -1 : 1;
  const sorted = [...items].sort((a, b) => sign * compareKeys(options.keyOf(a), options.keyOf(b)));
  const start =
    after === undefined ? 0 : sorted.findIndex((item) => sign * compareKeys(options.keyOf(item), after) > 0);
  const from = start < 0 ? sorted.length : start;
  const page = sorted.slice(from, from + (options.maxResults ?? 50));
  const last = page.at(-1);
  const more = last !== undefined && from + page.length < sorted.length;
  return {
    items: page,
    nextToken: more
      ? Buffer.from(JSON.stringify([digest, ...options.keyOf(last as T)])).toString('base64url')
      : undefined,
  };
}

function readToken(token: string, digest: string): SortKey {
  try {
    const [made, value, id] = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as unknown[];
    if (made === digest && (typeof value === 'string' || typeof value === 'number') && typeof id === 'string') {
      return [value, id];
    }
  } catch {
    // falls through to the refusal
  }
  throw validation('nextToken is not one that this operation gave for the same parameters.');
}

function compareKeys([a, aId]: SortKey, [b, bId]: SortKey): number {
  if (a !== b) return a < b ? -1 : 1;
  return aId < bId ? -1 : aId > bId ? 1 : 0;
}
