import { createHash, createHmac } from 'node:crypto';

/** Credentials as the AWS SDK's chain gives them. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string | undefined;
}

export interface SignedRequest {
  readonly method: string;
  readonly url: URL;
  /** Lower-case names; all of them are signed, besides those that signing adds. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | string;
}

const sha256 = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex');
const hmac = (key: Uint8Array | string, data: string): Buffer => createHmac('sha256', key).update(data).digest();

/**
 * Headers of a request with AWS Signature Version 4, for calls that none of the SDK's clients here has.
 *
 * @param at - time of the signature
 */
export function signedHeaders(
  request: SignedRequest,
  credentials: AwsCredentials,
  { region, service, at = new Date() }: { readonly region: string; readonly service: string; readonly at?: Date },
): Record<string, string> {
  const { method, url, body } = request;
  const timestamp = at.toISOString().replace(/[-:]|\.\d{3}/g, '');
  const scope = `${timestamp.slice(0, 8)}/${region}/${service}/aws4_request`;
  const headers: Record<string, string> = {
    ...request.headers,
    host: url.host,
    'x-amz-date': timestamp,
    ...(credentials.sessionToken === undefined ? {} : { 'x-amz-security-token': credentials.sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const query = [...url.searchParams].map(([key, value]) => `${escaped(key)}=${escaped(value)}`).sort();
  const canonical = [
    method,
    // The path is escaped as it stands in the URL already, and once more (every service but S3).
    url.pathname.split('/').map(escaped).join('/'),
    query.join('&'),
    ...names.map((name) => `${name}:${(headers[name] as string).trim().replace(/ +/g, ' ')}`),
    '',
    names.join(';'),
    sha256(body),
  ].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', timestamp, scope, sha256(canonical)].join('\n');
  const key = [timestamp.slice(0, 8), region, service, 'aws4_request'].reduce<Uint8Array | string>(
    hmac,
    `AWS4${credentials.secretAccessKey}`,
  );
  const signature = createHmac('sha256', key).update(toSign).digest('hex');
  const authorization = `AWS4-HMAC-SHA256 Credential=${credentials.accessKeyId}/${scope}, SignedHeaders=${names.join(';')}, Signature=${signature}`;
  return { ...headers, authorization };
}

const escaped = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
