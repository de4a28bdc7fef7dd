import { EndpointError } from '../errors.ts';

const segment = '[A-Za-z0-9][A-Za-z0-9._-]*';
const pattern = new RegExp(`^${segment}(/${segment})*\\.tar\\.gz$`);
const suffix = '.tar.gz';

/**
 * Checks a `TargetModel`: segments `[A-Za-z0-9][A-Za-z0-9._-]*` joined by `/`, ending in `.tar.gz`, at most 1,024
 * characters (design §2). It is joined to folders and keys, so nothing else passes.
 *
 * @throws EndpointError `invalid_request`
 */
export function checkTargetModel(name: string): string {
  if (name.length > 1024 || !pattern.test(name)) {
    throw new EndpointError(
      'invalid_request',
      'TargetModel must be segments of letters, digits, ".", "_", "-" joined by "/", ending in ".tar.gz" (at most 1,024 characters).',
    );
  }
  return name;
}

/** `sub/spleen.tar.gz` → `sub/spleen`. */
export const modelNameOfTarget = (target: string): string =>
  target.endsWith(suffix) ? target.slice(0, -suffix.length) : target;
