import { keywordOf, tagOf } from '../../formats/dicom/dictionary.ts';
import { validation } from '../service-error.ts';

/** A QIDO-RS query (PS3.18 §8.3.4). */
export interface SearchQuery {
  /** Keyword → value to match. */
  readonly matches: ReadonlyMap<string, string>;
  readonly include: 'all' | ReadonlySet<number>;
  readonly limit: number;
  readonly offset: number;
  readonly fuzzy: boolean;
}

/** The service gives at most this many records. */
const maxRecords = 10_000;
const options = ['includefield', 'limit', 'offset', 'fuzzymatching', 'imageSetId'];

/**
 * Reads the query parameters of a search: attributes by keyword or by tag.
 *
 * @throws ServiceError `ValidationException` for a parameter that is neither an option nor an attribute: a filter that
 *   is passed over would find too much
 */
export function parseSearchQuery(query: Readonly<Record<string, unknown>>): SearchQuery {
  const matches = new Map<string, string>();
  for (const [name, value] of Object.entries(query)) {
    if (options.includes(name)) continue;
    const keyword = keywordOfName(name);
    if (keyword === undefined || typeof value !== 'string')
      throw validation('A query parameter is no DICOM attribute.');
    if (value !== '') matches.set(keyword, value);
  }
  const fields = [query.includefield ?? []].flat().flatMap((field) => String(field).split(','));
  return {
    matches,
    include: fields.includes('all') ? 'all' : new Set(fields.map(tagOfName)),
    limit: Math.min(count(query.limit, 'limit') ?? maxRecords, maxRecords),
    offset: count(query.offset, 'offset') ?? 0,
    fuzzy: query.fuzzymatching === 'true',
  };
}

function count(value: unknown, name: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value === 'string' && /^\d{1,9}$/.test(value)) return Number(value);
  throw validation(`${name} is no whole number.`);
}

function tagOfName(name: string): number {
  const tag = /^[0-9A-Fa-f]{8}$/.test(name) ? Number.parseInt(name, 16) : tagOf(name);
  if (tag === undefined) throw validation('includefield names no DICOM attribute.');
  return tag;
}

function keywordOfName(name: string): string | undefined {
  if (/^[0-9A-Fa-f]{8}$/.test(name)) return keywordOf(Number.parseInt(name, 16));
  return tagOf(name) === undefined ? undefined : name;
}

/**
 * Whether an attribute's value matches (PS3.4 C.2.2.2): lists of UIDs, ranges of dates and times, wild cards in text;
 * names without regard to case, and by their parts where matching is fuzzy.
 *
 * @param values - the attribute's values as text; none for an empty or absent attribute
 */
export function matchesValue(keyword: string, values: readonly string[], wanted: string, fuzzy: boolean): boolean {
  if (keyword.endsWith('UID')) {
    const uids = wanted.split(/[,\\]/);
    return values.some((value) => uids.includes(value));
  }
  const isRange = /Date$|Time$/.test(keyword) && /^[\d.:]*-[\d.:]*$/.test(wanted);
  if (isRange) {
    const [from = '', to = ''] = wanted.split('-');
    return values.some((value) => value >= from && (to === '' || value <= to || value.startsWith(to)));
  }
  if (keyword.endsWith('Name')) return values.some((value) => matchesName(value, wanted, fuzzy));
  return values.some((value) => wildcard(wanted, '').test(value));
}

function matchesName(value: string, wanted: string, fuzzy: boolean): boolean {
  if (wildcard(wanted, 'i').test(value)) return true;
  if (!fuzzy) return false;
  const words = (text: string) =>
    text
      .toLowerCase()
      .split(/[\s^=*]+/)
      .filter(Boolean);
  return words(wanted).every((word) => words(value).some((part) => part.startsWith(word)));
}

function wildcard(pattern: string, flags: string): RegExp {
  const source = pattern
    .replace(/[.+^${}()|[\]\\]/g, '\\$&')
    .replaceAll('*', '.*')
    .replaceAll('?', '.');
  return new RegExp(`^${source}$`, `s${flags}`);
}
