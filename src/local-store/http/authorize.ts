import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { ServiceError } from '../service-error.ts';

const algorithm = 'AWS4-HMAC-SHA256';
/** As AWS allows. */
const maxClockSkewMs = 15 * 60 * 1000;

/**
 * Checks that a request knows the store's token: as `Authorization: Bearer <token>`, or by a signature (SigV4) made
 * with the token as the secret access key, whatever the access key id. The SDKs can do only the latter.
 *
 * @param bodySha256 - SHA-256 of the body in hexadecimal; undefined where the body is not read as a whole, and the
 *   hash that the headers state (which is signed) stands for it
 * @throws ServiceError `AccessDeniedException`
 */
export function authorize(request: IncomingMessage, token: string, bodySha256: string | undefined): void {
  const header = request.headers.authorization;
  if (header === undefined)
    throw denied('The store asks for a token: as bearer, or as the secret access key of a signature.');
  if (header.startsWith('Bearer ')) {
    if (!equal(header.slice('Bearer '.length), token)) throw denied('The bearer token is not the one of the store.');
    return;
  }
  if (!header.startsWith(algorithm)) throw denied('Authorization is neither a bearer token nor a signature (SigV4).');
  checkSignature(request, header, token, bodySha256);
}

function checkSignature(
  request: IncomingMessage,
  header: string,
  secret: string,
  bodySha256: string | undefined,
): void {
  const field = (name: string): string => new RegExp(`${name}=([^,\\s]+)`).exec(header)?.[1] ?? '';
  const [, date = '', region = '', service = '', terminator = ''] = field('Credential').split('/');
  const names = field('SignedHeaders').split(';');
  const time = String(request.headers['x-amz-date'] ?? '');
  if (terminator !== 'aws4_request' || !time.startsWith(date) || !names.includes('host')) {
    throw denied('The signature is incomplete.');
  }
  const iso = time.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  if (!(Math.abs(Date.parse(iso) - Date.now()) <= maxClockSkewMs)) throw denied('The signature has expired.');
  const stated = request.headers['x-amz-content-sha256'];
  if (
    typeof stated === 'string' &&
    bodySha256 !== undefined &&
    /^[0-9a-f]{64}$/.test(stated) &&
    stated !== bodySha256
  ) {
    throw denied('The body is not the one that was signed.');
  }
  const payload = typeof stated === 'string' ? stated : bodySha256;
  if (payload === undefined) throw denied('The signature needs x-amz-content-sha256.');
  const scope = `${date}/${region}/${service}/aws4_request`;
  const key = ['aws4_request', service, region, date].reduceRight(
    (signing: string | Buffer, part) => hmac(signing, part),
    `AWS4${secret}`,
  );
  // The front passes requests on under another Host; the client signed the one that it knew.
  const hosts = [request.headers.host, request.headers['x-forwarded-host']].filter((host) => host !== undefined);
  const isRight = hosts.some((host) => {
    const canonical = canonicalRequest(request, names, String(host), payload);
    const text = [algorithm, time, scope, sha256(canonical)].join('\n');
    return equal(hmac(key, text).toString('hex'), field('Signature'));
  });
  if (!isRight) throw denied('The signature does not match: its secret access key is not the token of the store.');
}

function canonicalRequest(request: IncomingMessage, names: readonly string[], host: string, payload: string): string {
  const [path = '/', query = ''] = (request.url ?? '/').split(/\?(.*)/s);
  const headers = names.map((name) => {
    const value = name === 'host' ? host : [request.headers[name] ?? ''].flat().join(',');
    return `${name}:${value.trim().replace(/ +/g, ' ')}\n`;
  });
  return [
    request.method,
    // Every service but S3 encodes the path once more than it is sent.
    path.split('/').map(encode).join('/'),
    canonicalQuery(query),
    headers.join(''),
    names.join(';'),
    payload,
  ].join('\n');
}

function canonicalQuery(query: string): string {
  if (query === '') return '';
  return query
    .split('&')
    .map((pair) => {
      const [name = '', value = ''] = pair.split(/=(.*)/s);
      return [encode(decode(name)), encode(decode(value))] as const;
    })
    .sort(([a, aValue], [b, bValue]) => (a === b ? (aValue < bValue ? -1 : 1) : a < b ? -1 : 1))
    .map((pair) => pair.join('='))
    .join('&');
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', '%20'));
  } catch {
    throw denied('The query of the request is malformed.');
  }
}

/** RFC 3986: `encodeURIComponent` leaves five characters more as they are. */
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const equal = (a: string, b: string): boolean =>
  timingSafeEqual(createHash('sha256').update(a).digest(), createHash('sha256').update(b).digest());
const denied = (message: string): ServiceError => new ServiceError('AccessDeniedException', message);
