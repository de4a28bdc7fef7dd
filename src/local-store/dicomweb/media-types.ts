import { ServiceError } from '../service-error.ts';

/** A media range of an Accept header (RFC 9110 §12.5.1), or a Content-Type. */
export interface MediaType {
  /** `image/png`, `multipart/related`, … in lower case. */
  readonly name: string;
  readonly parameters: ReadonlyMap<string, string>;
}

/** Parses `type/subtype; name=value; name="quoted"`, comma-separated; best quality first. */
export function parseMediaTypes(header: string): MediaType[] {
  const parsed = splitOutsideQuotes(header, ',').map((text) => {
    const [name = '', ...rest] = splitOutsideQuotes(text, ';').map((part) => part.trim());
    const parameters = new Map(
      rest.map((part) => {
        const at = part.indexOf('=');
        const value = part.slice(at + 1).trim();
        return [part.slice(0, at).trim().toLowerCase(), value.replace(/^"(.*)"$/s, '$1')] as const;
      }),
    );
    return { name: name.toLowerCase(), parameters };
  });
  const quality = ({ parameters }: MediaType) => Number(parameters.get('q') ?? 1);
  return parsed.filter((type) => type.name !== '' && quality(type) > 0).sort((a, b) => quality(b) - quality(a));
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [''];
  let quoted = false;
  for (const char of text) {
    if (char === '"') quoted = !quoted;
    if (char === separator && !quoted) parts.push('');
    else parts[parts.length - 1] += char;
  }
  return parts;
}

/** How an answer is to be sent. */
export interface Wanted {
  readonly multipart: boolean;
  /** Media type of a part, or of the whole. */
  readonly type: string;
  /** Transfer syntax that was asked for; `*` takes the stored one; undefined: the default. */
  readonly transferSyntax: string | undefined;
}

/**
 * The ways in which a request accepts one of `offered`, best first. `*` and `multipart/*` ranges take the first
 * offered one.
 *
 * @throws ServiceError `NotAcceptableException`
 */
export function acceptedWays(header: string | undefined, offered: readonly string[]): Wanted[] {
  const [first = ''] = offered;
  const ways: Wanted[] = [];
  for (const { name, parameters } of parseMediaTypes(header === undefined || header === '' ? '*/*' : header)) {
    const isMultipart = name === 'multipart/related' || name === '*/*' || name === 'multipart/*';
    const range = isMultipart ? (parameters.get('type') ?? '*/*').toLowerCase() : name;
    const type = range === '*/*' || range === `${first.split('/')[0]}/*` ? first : range;
    if (!offered.includes(type)) continue;
    ways.push({ multipart: isMultipart, type, transferSyntax: parameters.get('transfer-syntax') });
  }
  if (ways.length === 0) throw notAcceptable(`The answer can be sent as ${offered.join(', ')}.`);
  return ways;
}

export const notAcceptable = (message: string): ServiceError => new ServiceError('NotAcceptableException', message);
