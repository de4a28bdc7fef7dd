import { EndpointError } from '../errors.ts';

const mark = 'after:';
const defaultLimit = 100;
const maxLimit = 1000;

/** A token that continues a listing after a name; it stays good when models come and go. */
export function pageTokenAfter(name: string): string {
  return Buffer.from(mark + name, 'utf8').toString('base64url');
}

/** The name after which to continue. Throws EndpointError `invalid_request` for a token that we didn't make. */
export function parsePageToken(token: string | undefined): string | undefined {
  if (token === undefined) return undefined;
  const text = Buffer.from(token, 'base64url').toString('utf8');
  const name = text.slice(mark.length);
  if (!text.startsWith(mark) || name === '' || pageTokenAfter(name) !== token) {
    throw new EndpointError('invalid_request', 'next_page_token is not one that a listing gave.');
  }
  return name;
}

/** Throws EndpointError `invalid_request` for a limit that is no number from 1 to 1,000. */
export function parsePageLimit(limit: string | undefined): number {
  if (limit === undefined) return defaultLimit;
  const value = Number(limit);
  if (!/^\d{1,4}$/.test(limit) || value < 1 || value > maxLimit) {
    throw new EndpointError('invalid_request', `limit must be a whole number from 1 to ${maxLimit}.`);
  }
  return value;
}
