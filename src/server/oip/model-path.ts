import { EndpointError } from '../../errors.ts';

/** A path under `/v2/models` or `/v2/repository/models`, read. */
export interface ModelPath {
  readonly name: string;
  readonly version: string | undefined;
  /** The last segment where it is one of the actions. */
  readonly action: string | undefined;
}

/**
 * Reads `/{name}[/versions/{version}][/{action}]`. A `/` of a name is `%2F`; since clients leave it as it is, what stands
 * before version and action is the name, however many segments it has.
 *
 * @param path - still percent-encoded, without what it is mounted under
 * @param actions - last segments that are no part of a name
 * @throws EndpointError `invalid_request`
 */
export function parseModelPath(path: string, actions: readonly string[]): ModelPath {
  const segments = path.split('/').slice(1);
  if (segments.at(-1) === '') segments.pop();
  const action = segments.length > 1 && actions.includes(segments.at(-1) as string) ? segments.pop() : undefined;
  const version = segments.length > 2 && segments.at(-2) === 'versions' ? segments.splice(-2)[1] : undefined;
  const name = segments.map(decoded).join('/');
  if (name === '' || name.length > 1024) {
    throw new EndpointError('invalid_request', 'The path must name a model, of at most 1,024 characters.');
  }
  return { name, version: version === undefined ? undefined : decoded(version), action };
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (cause) {
    throw new EndpointError('invalid_request', 'The path is not validly percent-encoded.', { cause });
  }
}
