import { EndpointError } from '../errors.ts';

interface Named {
  /** Name under `bundles/`; undefined for the one bundle of an archive. */
  readonly name: string | undefined;
}

/** Names in a message are enough to see what is meant, not a catalogue. */
const listedNames = 50;

/** How an archive is known to those who name its bundles. */
export interface ArchiveWords {
  /** Name of the archive, without its suffix: a request that names it means its one bundle. */
  readonly archive?: string | undefined;
  /** Code of a bundle that isn't there. Default `model_not_found`; another one where 404 has SageMaker load the archive. */
  readonly unknown?: 'model_not_found' | 'invalid_request';
}

/**
 * The bundle of an archive that a request means.
 *
 * @param bundles - all bundles of the archive
 * @param wanted - the request's `model`, where it speaks of a bundle; undefined: the only one
 * @throws EndpointError `invalid_request` when several are there and none is named, `model_not_found` when there is no
 *   bundle of that name; both list the names
 */
export function pickBundle<T extends Named>(
  bundles: readonly T[],
  wanted: string | undefined,
  { archive, unknown = 'model_not_found' }: ArchiveWords = {},
): T {
  const [only, ...others] = bundles;
  const namesArchive = only?.name === undefined && archive !== undefined && wanted === archive;
  if (only && others.length === 0 && (wanted === undefined || namesArchive)) return only;
  const found = wanted === undefined ? undefined : bundles.find(({ name }) => name === wanted);
  if (found) return found;
  const names = bundles.flatMap(({ name }) => name ?? []);
  const list = names.slice(0, listedNames).join(', ') + (names.length > listedNames ? ', …' : '');
  const details = { models: names };
  if (wanted === undefined) {
    const message = `The model archive holds several bundles; name one as "model" in the request: ${list}.`;
    throw new EndpointError('invalid_request', message, { details });
  }
  if (names.length === 0) {
    const message = 'The request names a bundle as "model", but the model archive holds a single one: leave it out.';
    throw new EndpointError(unknown, message);
  }
  throw new EndpointError(unknown, `The model archive holds no bundle of this name; it holds ${list}.`, {
    details,
  });
}

/** What a bundle of an archive is called: the archive's name, and its own below it where it has one. */
export const nameOfBundle = (archive: string, bundle: Named): string =>
  bundle.name === undefined ? archive : `${archive}/${bundle.name}`;
